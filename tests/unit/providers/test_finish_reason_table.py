"""Every provider's word for the end of an answer: what it means, and what comes next."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import (
    ContentRefusedError,
    ContextTooLongError,
    MalformedAnswerError,
    ProviderError,
    ProviderUnavailableError,
    StreamCutError,
    UnfitAnswerError,
)
from aegis_graph.providers.answer_check import check_end
from aegis_graph.providers.finish_reasons import Outcome, meaning_of, read_finish_reason
from aegis_graph.routing.exchange.retry import retry_wait_s

ANSWERS: tuple[tuple[str, object, Outcome], ...] = (
    ("OpenAI", "stop", "complete"),
    ("OpenAI", "length", "length"),
    ("OpenAI", "tool_calls", "tools"),
    ("OpenAI", "function_call", "tools"),
    ("OpenAI Responses", "completed", "complete"),
    ("OpenAI Responses", "max_output_tokens", "length"),
    ("OpenAI Responses", "incomplete", "length"),
    ("Mistral", "model_length", "length"),
    ("Anthropic", "end_turn", "complete"),
    ("Anthropic", "stop_sequence", "complete"),
    ("Anthropic", "pause_turn", "complete"),
    ("Anthropic", "max_tokens", "length"),
    ("Anthropic", "tool_use", "tools"),
    ("Gemini", "STOP", "complete"),
    ("Gemini", "MAX_TOKENS", "length"),
    ("Gemini", 1, "complete"),
    ("Gemini", 2, "length"),
    ("Gemini", "FinishReason.STOP", "complete"),
    ("Gemini", "FINISH_REASON_STOP", "complete"),
    ("Cohere", "COMPLETE", "complete"),
    ("Cohere", "TOOL_CALL", "tools"),
    ("xAI", "REASON_STOP", "complete"),
    ("xAI", "REASON_MAX_LEN", "length"),
    ("xAI", "REASON_TOOL_CALLS", "tools"),
    ("Ollama", "stop", "complete"),
    ("llama.cpp", "eos", "complete"),
    ("llama.cpp", "word", "complete"),
    ("llama.cpp", "limit", "length"),
    ("TGI", "eos_token", "complete"),
    ("watsonx", "token_limit", "length"),
    ("SGLang", {"type": "length", "length": 100}, "length"),
    ("two last chunks", "stopstop", "complete"),
    ("two last chunks", "lengthlength", "length"),
    ("two last chunks", "MAX_TOKENSMAX_TOKENS", "length"),
    ("two last chunks", "tool_callsstop", "tools"),
    ("two last chunks", "stoplength", "length"),
    ("a new one", "because", "complete"),
    ("a new one", "stopped talking", "complete"),
    ("a new one", ["stop"], "complete"),
)

FAILURES: tuple[tuple[str, object, Outcome, type[ProviderError]], ...] = (
    ("OpenAI", "content_filter", "filtered", ContentRefusedError),
    ("OpenRouter", "error", "failed", ProviderUnavailableError),
    ("DeepSeek", "insufficient_system_resource", "failed", ProviderUnavailableError),
    ("Anthropic", "refusal", "filtered", ContentRefusedError),
    ("Anthropic", "model_context_window_exceeded", "failed", ContextTooLongError),
    ("Gemini", "SAFETY", "filtered", ContentRefusedError),
    ("Gemini", 3, "filtered", ContentRefusedError),
    ("Gemini", "FinishReason.RECITATION", "filtered", ContentRefusedError),
    ("Gemini", "LANGUAGE", "filtered", ContentRefusedError),
    ("Gemini", "BLOCKLIST", "filtered", ContentRefusedError),
    ("Gemini", "PROHIBITED_CONTENT", "filtered", ContentRefusedError),
    ("Gemini", "SPII", "filtered", ContentRefusedError),
    ("Gemini", "IMAGE_SAFETY", "filtered", ContentRefusedError),
    ("Gemini", "MALFORMED_FUNCTION_CALL", "failed", UnfitAnswerError),
    ("Gemini", "UNEXPECTED_TOOL_CALL", "failed", UnfitAnswerError),
    ("Gemini", "OTHER", "failed", StreamCutError),
    ("Gemini", "FINISH_REASON_UNSPECIFIED", "failed", StreamCutError),
    ("Gemini", 0, "failed", StreamCutError),
    ("Bedrock", "guardrail_intervened", "filtered", ContentRefusedError),
    ("Bedrock", "content_filtered", "filtered", ContentRefusedError),
    ("Bedrock", "malformed_model_output", "failed", UnfitAnswerError),
    ("Cohere", "ERROR_TOXIC", "filtered", ContentRefusedError),
    ("Cohere", "ERROR", "failed", ProviderUnavailableError),
    ("Cohere", "ERROR_LIMIT", "failed", ContextTooLongError),
    ("Cohere", "TIMEOUT", "failed", StreamCutError),
    ("Ollama", "load", "failed", ProviderUnavailableError),
    ("Ollama", "unload", "failed", ProviderUnavailableError),
    ("vLLM", "abort", "failed", StreamCutError),
    ("vLLM", "repetition", "failed", UnfitAnswerError),
    ("SGLang", {"type": "abort", "message": "a prompt"}, "failed", StreamCutError),
    ("TensorRT-LLM", "cancelled", "failed", StreamCutError),
    ("Zhipu", "sensitive", "filtered", ContentRefusedError),
    ("Zhipu", "network_error", "failed", ProviderUnavailableError),
    ("OpenAI Responses", "failed", "failed", StreamCutError),
    ("Vertex AI", "MALFORMED_RESPONSE", "failed", MalformedAnswerError),
    ("two last chunks", "content_filtercontent_filter", "filtered", ContentRefusedError),
    ("two last chunks", "stoperror", "failed", ProviderUnavailableError),
    ("two last chunks", "SAFETYSTOP", "filtered", ContentRefusedError),
)


def named(row: tuple[object, ...]) -> str:
    return f"{row[0]}-{row[1]}"


@pytest.mark.parametrize(("dialect", "raw", "outcome"), ANSWERS, ids=map(named, ANSWERS))
def test_an_answer_with_this_word_is_given_out(dialect: str, raw: object, outcome: Outcome) -> None:
    answer = AIMessage("Paris.", response_metadata={"finish_reason": raw} if raw else {})
    reason = read_finish_reason(answer)
    assert reason is not None
    assert (reason.outcome, reason.error) == (outcome, None)
    check_end(answer, reason)
    cut = answer.response_metadata["finish_reason"] == "length"
    assert cut == (outcome == "length")


@pytest.mark.parametrize(("dialect", "raw", "outcome", "error"), FAILURES, ids=map(named, FAILURES))
def test_an_answer_with_this_word_is_a_failed_attempt(
    dialect: str, raw: object, outcome: Outcome, error: type[ProviderError]
) -> None:
    answer = AIMessage("Half an ans", response_metadata={"stop_reason": raw})
    reason = read_finish_reason(answer)
    assert reason is not None
    assert reason.outcome == outcome
    with pytest.raises(ProviderError) as caught:
        check_end(answer, reason)
    assert type(caught.value) is error
    # The next provider is asked: this one has done its work, and would be paid for it twice.
    spec = ProviderSpec(name="one", kind="openai", model="m", location="cloud", max_retries=3)
    assert retry_wait_s(caught.value, spec, [], longest_s=60) is None
    assert "a prompt" not in str(caught.value)


def test_a_member_of_an_enumeration_is_its_value() -> None:
    class Theirs(Enum):
        BLOCKED = "SAFETY"

    assert meaning_of(Theirs.BLOCKED).outcome == "filtered"


@pytest.mark.parametrize(
    ("native", "outcome"),
    [("SAFETY", "filtered"), ("MAX_TOKENS", "length"), ("STOP", "complete"), ("new", "complete")],
)
def test_the_word_of_the_provider_behind_a_gateway_counts_where_it_is_stricter(
    native: str, outcome: Outcome
) -> None:
    metadata = {"finish_reason": "stop", "native_finish_reason": native}
    reason = read_finish_reason(AIMessage("Paris.", response_metadata=metadata))
    assert reason is not None
    assert reason.outcome == outcome


@pytest.mark.parametrize(
    ("metadata", "outcome"),
    [
        ({"done_reason": "length"}, "length"),
        ({"stopReason": "end_turn"}, "complete"),
        ({"finish_reason": "null", "stop_reason": "end_turn"}, "complete"),
        ({"status": "completed"}, "complete"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "filtered",
        ),
        ({"prompt_feedback": {"block_reason": "OTHER"}}, "filtered"),
    ],
)
def test_the_word_is_found_wherever_clients_keep_it(
    metadata: dict[str, Any], outcome: Outcome
) -> None:
    reason = read_finish_reason(AIMessage("", response_metadata=metadata))
    assert reason is not None
    assert reason.outcome == outcome


@pytest.mark.parametrize("metadata", [{}, {"finish_reason": None}, {"status": 200}])
def test_an_answer_without_a_word_has_no_reason(metadata: dict[str, Any]) -> None:
    answer = AIMessage("Paris.", response_metadata=dict(metadata))
    assert read_finish_reason(answer) is None
    assert answer.response_metadata == metadata


def test_an_unknown_word_is_logged_once_and_harmlessly(caplog: pytest.LogCaptureFixture) -> None:
    word = "new\x1b]0;title\x07 \ud800reason" + "a" * 5_000
    for _ in range(3):
        answer = AIMessage("Paris.", response_metadata={"finish_reason": word})
        read_finish_reason(answer)
        assert answer.response_metadata["finish_reason"].isprintable()
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    text = record.getMessage()
    assert "new reason" in text
    assert text.isprintable()
    assert len(text) < 200


@pytest.mark.parametrize("piece", ["stop", "tool_calls", "tool_call", "error_", "reason_"])
def test_a_word_of_any_length_is_read_at_once(piece: str) -> None:
    # A search that went back over its steps would not end before the test run does.
    assert meaning_of(piece * 500_000 + "!").outcome == "complete"
