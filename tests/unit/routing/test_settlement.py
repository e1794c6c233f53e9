"""What an attempt turned into, from what the provider said to the ledger's row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    MalformedAnswerError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
)
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import Rate, TokenUsage, most_usd
from aegis_graph.routing.reservation import Bound
from aegis_graph.routing.route import AdmittedHold
from aegis_graph.routing.settlement import SettlementCalculator
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.types import SettlementRecord

RATE = Rate(Decimal(2), Decimal(10), cached_input=Decimal(1))
PROMPT, CAP = 100, 50
LATENCY = {"latency_ms": 7}


def price(usage: TokenUsage) -> Decimal:
    return RATE.cost(usage, thinking=False)


HOLD = to_nano_usd(most_usd(price, PROMPT, CAP))
OPEN_HOLD = AdmittedHold(id=1, nano_usd=HOLD)
BOUND = Bound(input_tokens=PROMPT, output_cap=CAP, output_tokens=CAP)


def calculator() -> SettlementCalculator:
    return SettlementCalculator(OPEN_HOLD, BOUND, price)


def answer(text: str, tokens: tuple[int, int] | None, **details: Any) -> AIMessage:
    if tokens is None:
        return AIMessage(text)
    counts = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    usage: UsageMetadata = {**counts, **details}  # type: ignore[typeddict-item]
    return AIMessage(text, usage_metadata=usage)


def recorded(*chunks: AIMessageChunk) -> StreamRecorder:
    recorder = StreamRecorder()
    for chunk in chunks:
        generation = ChatGenerationChunk(message=chunk)
        recorder.on_llm_new_token("", chunk=generation, run_id=uuid4())
    return recorder


def cost_and_basis(record: SettlementRecord) -> tuple[int, str]:
    return record["cost_nano_usd"], record["cost_basis"]


def test_usage_that_the_provider_reports_is_believed() -> None:
    record = calculator().answered(answer("Hello", (80, 5)), **LATENCY)
    assert record == {
        "hold_id": 1,
        "status": "answered",
        "error_type": None,
        "cost_nano_usd": 80 * 2000 + 5 * 10_000,
        "cost_basis": "reported",
        "input_tokens": 80,
        "output_tokens": 5,
        "cached_input_tokens": None,
        "reasoning_tokens": None,
        "latency_ms": 7,
    }


def test_cached_and_reasoning_tokens_are_kept_and_cached_ones_cost_less() -> None:
    details = {
        "input_token_details": {"cache_read": 60},
        "output_token_details": {"reasoning": 3},
    }
    record = calculator().answered(answer("Hello", (80, 5), **details), **LATENCY)
    assert cost_and_basis(record) == (20 * 2000 + 60 * 1000 + 5 * 10_000, "reported")
    assert (record["cached_input_tokens"], record["reasoning_tokens"]) == (60, 3)


def test_more_cached_tokens_than_input_are_taken_for_all_of_the_input() -> None:
    record = calculator().answered(
        answer("Hello", (80, 5), input_token_details={"cache_read": 1000}), **LATENCY
    )
    assert cost_and_basis(record) == (80 * 1000 + 5 * 10_000, "reported")


def test_cached_and_written_tokens_are_never_more_than_the_input() -> None:
    seen: list[TokenUsage] = []

    def watching(usage: TokenUsage) -> Decimal:
        seen.append(usage)
        return price(usage)

    details = {"cache_read": 60, "cache_creation": 60}
    watched = SettlementCalculator(OPEN_HOLD, BOUND, watching)
    watched.answered(answer("Hello", (80, 5), input_token_details=details), **LATENCY)
    assert seen == [TokenUsage(80, 5, cached_input_tokens=60, cache_write_tokens=20)]


@pytest.mark.parametrize("tokens", [None, (0, 0), (80, 0), (0, 5)])
def test_missing_counts_and_zeros_for_text_that_is_there_are_not_believed(
    tokens: tuple[int, int] | None,
) -> None:
    record = calculator().answered(answer("Hello", tokens), **LATENCY)
    assert cost_and_basis(record) == (PROMPT * 2000 + 5 * 10_000, "estimated")
    assert (record["input_tokens"], record["output_tokens"]) == (PROMPT, 5)


def test_zero_output_for_no_text_is_believed() -> None:
    assert cost_and_basis(calculator().answered(answer("", (80, 0)), **LATENCY)) == (
        160_000,
        "reported",
    )


def test_tool_calls_without_text_count_as_output() -> None:
    message = answer("", (80, 0)).model_copy(
        update={"tool_calls": [{"name": "find", "args": {"q": "x"}, "id": "1"}]}
    )
    record = calculator().answered(message, **LATENCY)
    assert record["cost_basis"] == "estimated"
    assert (record["output_tokens"] or 0) >= len("find") + len("q") + len("x")


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
)
def test_no_count_that_a_server_can_report_makes_a_negative_cost(
    tokens_in: int, tokens_out: int, cached: int, written: int
) -> None:
    details = {"cache_read": cached, "cache_creation": written}
    message = answer("Hello", (tokens_in, tokens_out), input_token_details=details)
    record = calculator().answered(message, **LATENCY)
    assert record["cost_nano_usd"] >= 0
    counts = (record["input_tokens"], record["output_tokens"], record["cached_input_tokens"])
    assert all(count is None or count >= 0 for count in counts)
    if record["cost_basis"] == "reported":
        assert record["cost_nano_usd"] >= max(tokens_in, 0) * 1000 + max(tokens_out, 0) * 10_000


REFUSED: list[ProviderError] = [
    ProviderUnavailableError("HTTP 503", status=503),
    RateLimitError("HTTP 429", status=429),
    AuthenticationError("HTTP 401", status=401),
    QuotaError("HTTP 402", status=402),
    BadRequestError("HTTP 400", status=400),
    ContentRefusedError("HTTP 400", status=400),
    ProviderUnavailableError("cannot connect"),
]
UNKNOWN: list[ProviderError] = [
    ProviderTimeoutError("too late", outcome_unknown=True),
    ProviderUnavailableError("dropped", outcome_unknown=True),
    MalformedAnswerError("nonsense"),
    StreamCutError("cut"),
]


@pytest.mark.parametrize("error", REFUSED, ids=str)
def test_a_refusal_costs_nothing(error: ProviderError) -> None:
    record = calculator().failed(error, None, recorded(), **LATENCY)
    assert cost_and_basis(record) == (0, "none")
    assert (record["status"], record["error_type"]) == ("failed", type(error).__name__)
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)


@pytest.mark.parametrize("error", UNKNOWN, ids=str)
def test_an_unknown_outcome_keeps_the_whole_hold(error: ProviderError) -> None:
    record = calculator().failed(error, None, recorded(), **LATENCY)
    assert cost_and_basis(record) == (HOLD, "held")
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)


@pytest.mark.parametrize("error", [*REFUSED, *UNKNOWN], ids=str)
def test_what_was_heard_before_a_failure_is_estimated(error: ProviderError) -> None:
    recorder = recorded(AIMessageChunk(content="Hel"), AIMessageChunk(content="lo"))
    record = calculator().failed(error, None, recorder, **LATENCY)
    assert cost_and_basis(record) == (PROMPT * 2000 + 5 * 10_000, "estimated")


def test_a_complete_answer_that_was_refused_afterwards_costs_what_was_reported() -> None:
    error = ContentRefusedError("withheld")
    record = calculator().failed(error, answer("Hello", (80, 5)), recorded(), **LATENCY)
    assert cost_and_basis(record) == (210_000, "reported")
    assert (record["status"], record["error_type"]) == ("failed", "ContentRefusedError")


def test_a_cancelled_call_keeps_the_hold_until_something_was_heard() -> None:
    silent = calculator().cancelled(recorded(AIMessageChunk(content="")), **LATENCY)
    assert (silent["status"], *cost_and_basis(silent)) == ("cancelled", HOLD, "held")
    spoken = calculator().cancelled(recorded(AIMessageChunk(content="Hello")), **LATENCY)
    assert cost_and_basis(spoken) == (PROMPT * 2000 + 5 * 10_000, "estimated")


@pytest.mark.parametrize(
    "chunk",
    [
        AIMessageChunk(content="Hello"),
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hello"}),
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args="Hello", index=0)]),
    ],
)
def test_text_reasoning_and_tool_calls_are_all_heard(chunk: AIMessageChunk) -> None:
    assert recorded(chunk).has_content
    assert recorded(chunk, chunk).text == "HelloHello"


def test_an_estimate_is_never_above_the_hold() -> None:
    record = calculator().answered(answer("x" * 10_000, None), **LATENCY)
    assert record["output_tokens"] == CAP
    assert cost_and_basis(record) == (HOLD, "estimated")
