"""An answer that is none is a failed attempt, paid as it is reported; the next one is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.testing.provider_cases import ask as outcome_of
from tests.flow.answer_wires import (
    HEALTHY,
    OPENAI_KINDS,
    REPORTED,
    answering,
    events,
    open_chain,
    suspect,
)
from tests.flow.support import KINDS, ask, assert_sound, made

each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
each_kind = pytest.mark.parametrize("kind", ["ollama", "dashscope", *OPENAI_KINDS])
each_openai_kind = pytest.mark.parametrize("kind", OPENAI_KINDS)


def protocol_of(kind: str) -> Any:
    return kind if kind in KINDS else "openai"


async def failed_attempt(
    server: LoopbackServer, db: Path, kind: str, step: Any, *, stream: bool, **request: Any
) -> Any:
    """The first attempt, of a request that the second provider has answered."""
    server.always(protocol_of(kind), step, **({"model": "suspect"} if kind != "dashscope" else {}))
    router = open_chain(server, db, suspect(server, kind))
    outcome = await outcome_of(router, ask(**request), stream=stream)
    assert outcome.message is not None, outcome.error
    assert outcome.message.text == HEALTHY.text
    first, second = outcome.attempts
    assert (first["status"], second["status"]) == ("failed", "answered")
    assert_sound(db)
    return first


@each_mode
@each_kind
@pytest.mark.parametrize("reply", [Reply(""), Reply(" \n"), Reply("", reasoning="Hm. So.")])
async def test_an_empty_answer(
    server: LoopbackServer, db: Path, kind: str, reply: Reply, stream: bool
) -> None:
    first = await failed_attempt(server, db, kind, reply, stream=stream)
    assert (first["error_type"], first["cost_basis"]) == ("UnfitAnswerError", "reported")
    assert first["reason"] == "the answer is empty"


@each_mode
@each_kind
@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("abort", "StreamCutError"),
        ("error", "ProviderUnavailableError"),
        ("sensitive", "ContentRefusedError"),
        ("refusal", "ContentRefusedError"),
        ("SAFETY", "ContentRefusedError"),
        ("RECITATION", "ContentRefusedError"),
        ("MALFORMED_FUNCTION_CALL", "UnfitAnswerError"),
        ("model_context_window_exceeded", "ContextTooLongError"),
        ("content_filter", "ContentRefusedError"),
    ],
)
async def test_a_word_that_ends_no_answer(
    server: LoopbackServer, db: Path, kind: str, word: str, error: str, stream: bool
) -> None:
    reply = Reply("Half an ans", finish_reason=word)
    first = await failed_attempt(server, db, kind, reply, stream=stream)
    assert (first["error_type"], first["cost_basis"]) == (error, "reported")
    assert word in first["reason"]


@each_openai_kind
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["content_filter", "content_filter"], "ContentRefusedError"),
        (["stop", "content_filter"], "ContentRefusedError"),
        (["content_filter", "stop"], "ContentRefusedError"),
        (["stop", "error"], "ProviderUnavailableError"),
    ],
)
async def test_of_several_last_chunks_the_strictest_counts(
    server: LoopbackServer, db: Path, kind: str, words: list[str], error: str
) -> None:
    step = answering({"content": "Half an ans"}, words)
    first = await failed_attempt(server, db, kind, step, stream=True)
    assert (first["error_type"], first["cost_basis"]) == (error, "reported")


@each_openai_kind
async def test_two_last_chunks_of_the_cap_are_one(
    server: LoopbackServer, db: Path, kind: str
) -> None:
    step = answering({"content": "Half an ans"}, ["length", "length"])
    server.always("openai", step, model="suspect")
    router = open_chain(server, db, suspect(server, kind))
    outcome = await outcome_of(router, ask(), stream=True)
    assert outcome.message.response_metadata["finish_reason"] == "length"


@each_mode
@each_openai_kind
@pytest.mark.parametrize("reason", ["error", "stop"])
async def test_an_error_in_a_choice(
    server: LoopbackServer, db: Path, kind: str, reason: str, stream: bool
) -> None:
    error = {"code": 502, "message": "Upstream said: secret words"}
    step = answering({"content": "The answer is 4"}, reason, of_choice={"error": error})
    first = await failed_attempt(server, db, kind, step, stream=stream)
    assert (first["error_type"], first["cost_basis"]) == ("ProviderUnavailableError", "reported")
    assert "secret" not in first["reason"]
    assert made(db)[0]["cost_nano_usd"] == REPORTED


@each_mode
@each_openai_kind
@pytest.mark.parametrize("content", [None, "", "I"])
async def test_a_refusal_in_a_field_of_its_own(
    server: LoopbackServer, db: Path, kind: str, content: str | None, stream: bool
) -> None:
    step = answering({"content": content, "refusal": "I can't help with that"})
    first = await failed_attempt(server, db, kind, step, stream=stream)
    assert (first["error_type"], first["cost_basis"]) == ("ContentRefusedError", "reported")
    assert "can't" not in first["reason"]


WEATHER = {"name": "weather", "description": "", "parameters": {"type": "object"}}
OPTIONS: dict[str, Any] = {"options": {"tools": [{"type": "function", "function": WEATHER}]}}


@each_mode
@each_openai_kind
@pytest.mark.parametrize(
    "arguments", ['{"city": "Ulm"}{"city": "Bonn"}', "{..}{..}", "[1]", '"Ulm"', "Ulm", "{" * 500]
)
async def test_nothing_but_tool_calls_that_cannot_be_read(
    server: LoopbackServer, db: Path, kind: str, arguments: str, stream: bool
) -> None:
    function = {"name": "weather", "arguments": arguments}
    call = {"id": "call_1", "type": "function", "function": function}
    step = answering({"content": None, "tool_calls": [call]}, "tool_calls")
    first = await failed_attempt(server, db, kind, step, stream=stream, **OPTIONS)
    assert (first["error_type"], first["cost_basis"]) == ("UnfitAnswerError", "reported")


# LangChain's, of types that it passes on all the same.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("kind", ["openai", "langchain"])
@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
        {"id": 7, "index": "0", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
        {"index": 0, "function": {"name": "weather", "arguments": {"city": "Ulm"}}},
    ],
    ids=["no index", "types", "an object"],
)
async def test_a_streamed_tool_call_in_a_form_of_its_own_is_one(
    server: LoopbackServer, db: Path, kind: str, call: dict[str, Any]
) -> None:
    delta = {"role": "assistant", "tool_calls": [call]}
    last = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    head = {"id": "1", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    chunks = [{**head, "choices": [{"index": 0, "delta": delta}]}, {**head, "choices": [last]}]
    server.always("openai", events(chunks), model="suspect")
    router = open_chain(server, db, suspect(server, kind))
    outcome = await outcome_of(router, ask(**OPTIONS), stream=True)
    (found,) = outcome.message.tool_calls
    assert (found["name"], found["args"]) == ("weather", {"city": "Ulm"})


ODD_MESSAGES: dict[str, Any] = {
    "no message": None,
    "a list": [1, 2],
    "a number": 5,
    "content of a number": {"content": 5},
    "content of an object": {"content": {"a": 1}},
    "calls of nulls": {"content": None, "tool_calls": [None, 5, {"function": None}, {}]},
    "calls of a text": {"content": "", "tool_calls": "weather"},
}


@pytest.mark.parametrize("kind", ["openai", "langchain"])
@pytest.mark.parametrize("message", ODD_MESSAGES.values(), ids=ODD_MESSAGES)
async def test_what_has_the_wrong_type_is_paid_as_reported(
    server: LoopbackServer, db: Path, kind: str, message: Any
) -> None:
    step = whole_body(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    first = await failed_attempt(server, db, kind, step, stream=False)
    assert first["cost_basis"] == "reported"
    assert made(db)[0]["cost_nano_usd"] == REPORTED


@pytest.mark.parametrize("kind", ["openai", "langchain"])
@pytest.mark.parametrize("choices", [None, [], {}, "x", [None], [5]])
async def test_a_body_without_choices_is_paid_as_reported(
    server: LoopbackServer, db: Path, kind: str, choices: Any
) -> None:
    first = await failed_attempt(server, db, kind, whole_body(choices=choices), stream=False)
    assert first["cost_basis"] == "reported"
    assert made(db)[0]["cost_nano_usd"] == REPORTED


def whole_body(**fields: Any) -> Any:
    return answering({}, "stop", **fields)


@each_mode
@each_openai_kind
async def test_the_model_that_answered_is_named(
    server: LoopbackServer, db: Path, kind: str, stream: bool
) -> None:
    step = answering({"content": "It is Ulm."}, service_tier="flex", model="served\x1b[2J-1")
    server.always("openai", step, model="suspect")
    router = open_chain(server, db, suspect(server, kind))
    outcome = await outcome_of(router, ask(), stream=stream)
    metadata = outcome.message.response_metadata
    assert metadata["provider"] == "suspect"
    assert metadata["model_name"] == "served-1"
    assert metadata["service_tier"] == "flex"
    assert outcome.message.usage_metadata["total_tokens"] == 14


@each_openai_kind
async def test_a_usage_in_every_chunk_is_the_last(
    server: LoopbackServer, db: Path, kind: str
) -> None:
    head = {"id": "1", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = []
    for count in range(1, 201):
        usage = {"prompt_tokens": 1000, "completion_tokens": count, "total_tokens": 1000 + count}
        delta = {"role": "assistant", "content": f"word{count} "}
        last = "stop" if count == 200 else None
        one = {"index": 0, "delta": delta, "finish_reason": last}
        chunks.append({**head, "choices": [one], "usage": usage})
    server.always("openai", events(chunks), model="suspect")
    router = open_chain(server, db, suspect(server, kind))
    outcome = await outcome_of(router, ask("Which city? " * 1000), stream=True)
    (row,) = made(db)
    assert (row["input_tokens"], row["output_tokens"]) == (1000, 200)
    assert row["cost_nano_usd"] == 3_000_000
    assert outcome.message.text.split()[-1] == "word200"
