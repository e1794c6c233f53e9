"""A refusal by one provider is no refusal by all, and one request's is no other request's."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

import pytest

from aegis_graph.errors import (
    AllProvidersFailedError,
    ModelLoadingError,
    RequestRejectedError,
    RoutingError,
)
from aegis_graph.testing import Fault, LoopbackServer, RawReply, Reply
from aegis_graph.testing.loopback.replies import EVENT_STREAM
from tests.flow.support import (
    KINDS,
    ask,
    assert_sound,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
)
from tests.unit.providers.error_samples import SAMPLES, Sample

PARIS = Reply("The capital is Paris", input_tokens=50, output_tokens=6)
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"options": {"temperature": 0.5}})
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
RATE_LIMITED = {"error": {"message": "Rate limit", "code": 429}}


def raw(status: int, body: object, **headers: str) -> RawReply:
    named = {"Content-Type": "application/json", **headers}
    return RawReply(status=status, headers=named, body=json.dumps(body).encode())


def two(
    server: LoopbackServer, db: Path, *, kind: Any = "openai", timeout_s: float = 60, **config: Any
) -> Any:
    """A router with the provider under test, and a healthy one behind it."""
    row = provider(server, kind, name="first", model="first", price=PRICE, timeout_s=timeout_s)
    behind = provider(server, "ollama", name="second", model="second")
    server.always("ollama", PARIS, model="second")
    return open_router(make_config(server, db, providers=[row, behind], **config))


def answered_by(result: Any) -> str:
    return str(result["attempts"][-1]["provider"])


END_TO_END = [name for name, sample in SAMPLES.items() if sample.status is not None][::2]


def reply_of(sample: Sample) -> RawReply:
    body = sample.body if isinstance(sample.body, str) else json.dumps(sample.body)
    kind = "text/html" if isinstance(sample.body, str) else "application/json"
    assert sample.status is not None
    headers = {"Content-Type": kind, **sample.headers}
    return RawReply(status=sample.status, headers=headers, body=body.encode())


@pytest.mark.parametrize("name", END_TO_END)
async def test_every_dialect_over_the_wire_ends_at_the_next_provider(
    server: LoopbackServer, db: Path, name: str
) -> None:
    sample: Sample = SAMPLES[name]
    server.always(sample.kind, reply_of(sample), model="first")  # type: ignore[arg-type]
    # No wait is kept: whether the provider is asked again, the unit tests say. A server that loads
    # is asked again for the whole of its time.
    time_s = 3 if sample.error is ModelLoadingError else 60
    router = two(server, db, kind=sample.kind, timeout_s=time_s, health={"max_retry_wait_s": 0.0})
    result = await router.ainvoke(ask())
    assert result["messages"][-1].text == PARIS.text
    failed = [row for row in result["attempts"] if row["provider"] == "first"]
    assert {row["error_type"] for row in failed} == {sample.error.__name__}
    assert {row["cost_basis"] for row in failed} == {"none"}
    assert_sound(db)


@pytest.mark.parametrize("more", OPTIONS, ids=["plain", "options"])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_next_provider_is_asked_whatever_options_are_set(
    server: LoopbackServer, db: Path, status: int, more: dict[str, Any]
) -> None:
    server.always("openai", Fault.status(status), model="first")
    result = await two(server, db).ainvoke(ask(**more))
    assert answered_by(result) == "second"
    assert result["attempts"][0]["cost_basis"] == "none"


@pytest.mark.parametrize("more", OPTIONS, ids=["plain", "options"])
async def test_a_request_is_rejected_when_every_provider_refuses_it(
    server: LoopbackServer, db: Path, more: dict[str, Any]
) -> None:
    server.always(
        "ollama", Fault.status(400, message="the input length exceeds the context length")
    )
    server.always("dashscope", Fault.status(400, error_code="DataInspectionFailed"))
    server.always("openai", Fault.status(422, error_code="unsupported_value"))
    router = open_router(make_config(server, db))
    with pytest.raises(RequestRejectedError) as caught:
        await router.ainvoke(ask(**more))
    text = str(caught.value)
    assert "ollama failed (ContextTooLongError: HTTP 400)" in text
    assert "dashscope failed (ContentRefusedError: HTTP 400 (DataInspectionFailed))" in text
    assert "openai failed (BadRequestError: HTTP 422 (unsupported_value))" in text
    assert [call.protocol for call in server.calls()] == list(KINDS)
    assert {row["cost_basis"] for row in made(db)} == {"none"}


async def test_where_one_provider_failed_otherwise_the_request_was_not_rejected(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Fault.status(400))
    server.always("dashscope", Fault.status(401))
    server.always("openai", Fault.status(400))
    with pytest.raises(AllProvidersFailedError):
        await open_router(make_config(server, db)).ainvoke(ask())


async def test_the_moderation_of_one_user_keeps_no_other_user_out(
    server: LoopbackServer, db: Path
) -> None:
    refusal = {"error": {"code": 403, "metadata": {"reasons": ["violence"]}}}
    server.script("openai", raw(403, refusal), PARIS, model="first")
    router = two(server, db)
    assert answered_by(await router.ainvoke(ask("Violence!", user_id="one"))) == "second"
    assert answered_by(await router.ainvoke(ask("Flowers?", user_id="two"))) == "first"


async def test_what_an_account_cannot_afford_keeps_no_smaller_request_out(
    server: LoopbackServer, db: Path
) -> None:
    refusal = {"error": {"code": 402, "message": "You can only afford 1200 tokens"}}
    server.script("openai", raw(402, refusal), raw(402, refusal), PARIS, model="first")
    router = two(server, db)
    for text in ("long one", "long two"):
        assert answered_by(await router.ainvoke(ask(text))) == "second"
    assert answered_by(await router.ainvoke(ask("short"))) == "first"


async def test_a_model_without_tools_answers_what_needs_none(
    server: LoopbackServer, db: Path
) -> None:
    refusal = {"error": {"code": 404, "message": "No endpoints found that support tool use"}}
    server.script("openai", raw(404, refusal), raw(404, refusal), PARIS, model="first")
    router = two(server, db)
    for text in ("one", "two"):
        assert answered_by(await router.ainvoke(ask(text, options={"tools": TOOLS}))) == "second"
    assert answered_by(await router.ainvoke(ask("three"))) == "first"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_free_refusals_inside_an_answer_lock_no_budget(
    server: LoopbackServer, db: Path, stream: bool
) -> None:
    event = b"data: " + json.dumps(RATE_LIMITED).encode() + b"\n\ndata: [DONE]\n\n"
    streamed = RawReply(headers=EVENT_STREAM, chunks=[event])
    server.always("openai", streamed if stream else raw(200, RATE_LIMITED), model="first")
    router = two(server, db, budgets={"total": "0.05"}, health={"failures": 100})
    for number in range(5):
        result: Any = {}
        if stream:
            modes = ["messages", "values"]
            async for mode, part in router.astream(ask(str(number)), stream_mode=modes):
                result = part if mode == "values" else result
        else:
            result = await router.ainvoke(ask(str(number)))
        assert result["messages"][-1].text == PARIS.text
    found = {
        (row["error_type"], row["cost_basis"]) for row in made(db) if row["provider"] == "first"
    }
    assert found == {("RateLimitError", "none")}
    assert_sound(db)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_failed_is_no_garbage_for_the_collector_of_another_thread(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, Fault.stream_error(PARIS, after_chunks=1), model="first")
    router = two(server, db, kind=kind, health={"failures": 100})
    gc.collect()
    gc.disable()
    try:
        async for _ in router.astream(ask(), stream_mode="messages"):
            pass
        # Closed in turns of the loop, the outermost first.
        for _ in range(20):
            await asyncio.sleep(0)
        left = [one for one in gc.get_objects() if isinstance(one, AsyncGeneratorType)]
        names = {one.__qualname__ for one in left if one.ag_frame is not None}
        assert names & {"Body.read", "Response.aiter_raw", "Response.aiter_bytes"} == set()
    finally:
        gc.enable()


async def test_an_error_that_stands_where_a_chunk_does_is_read(
    server: LoopbackServer, db: Path
) -> None:
    error = {"object": "error", "message": "no", "type": "BadRequestError", "code": 400}
    event = b"data: " + json.dumps(error).encode() + b"\n\n"
    server.always("openai", RawReply(headers=EVENT_STREAM, chunks=[event]), model="first")
    async for _ in two(server, db).astream(ask(), stream_mode="messages"):
        pass
    (failed,) = [row for row in made(db) if row["provider"] == "first"]
    assert (failed["error_type"], failed["cost_basis"]) == ("BadRequestError", "none")


async def test_a_part_of_an_answer_is_not_free_whatever_ends_it(
    server: LoopbackServer, db: Path
) -> None:
    piece = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "It is "}}]}
    events = [b"data: " + json.dumps(part).encode() + b"\n\n" for part in (piece, RATE_LIMITED)]
    server.always("openai", RawReply(headers=EVENT_STREAM, chunks=events), model="first")
    router = two(server, db)
    async for _ in router.astream(ask(), stream_mode="messages"):
        pass
    (failed,) = [row for row in made(db) if row["provider"] == "first"]
    assert (failed["error_type"], failed["cost_basis"]) == ("RateLimitError", "estimated")


@pytest.mark.parametrize(
    ("headers", "calls"),
    [
        ({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 1),
        ({"retry-after-ms": "20000"}, 1),
        ({"x-should-retry": "false"}, 1),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h0m0s"}, 1),
        ({"retry-after-ms": "1"}, 2),
    ],
)
@pytest.mark.parametrize("kind", ["openai", "ollama", "dashscope"])
async def test_retry_advice_is_kept_by_every_kind(
    server: LoopbackServer, db: Path, headers: dict[str, str], calls: int, kind: Any
) -> None:
    body = {"error": "busy"} if kind == "ollama" else {"error": {"message": "busy"}}
    server.always(kind, raw(429, body, **headers), model="first")
    assert answered_by(await two(server, db, kind=kind).ainvoke(ask())) == "second"
    assert len(server.calls("openai" if kind == "openai" else kind)) - (kind == "ollama") == calls


FOREIGN = {
    "long": "x" * 5000,
    "prompt": "Which.city?",
    "terminal": "\x1b]0;PWNED\x07\x1b[2J",
    "half a character": "\ud800",
    "nul": "a\x00b",
    "key": "sk-loopback-secret",
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("kind", ["openai", "dashscope", "ollama"])
async def test_foreign_text_does_no_harm_in_any_row(
    server: LoopbackServer, db: Path, kind: Any, what: str
) -> None:
    text = FOREIGN[what]
    error = {"message": text, "code": text, "type": text}
    body = {"error": text} if kind == "ollama" else {**error, "error": error}
    server.always(kind, raw(401, body), model="first")
    row = provider(server, kind, name="first", model="first", price=PRICE)
    router = open_router(make_config(server, db, providers=[row]))
    said = []
    for _ in range(2):
        with pytest.raises(RoutingError) as caught:
            await router.ainvoke(ask("Which.city?"))
        said.append(str(caught.value))
    assert [row["error_type"] for row in rows(db)] == ["AuthenticationError"]
    said += [row["reasons"] for row in read(db, "SELECT reasons FROM unanswered")]
    assert len(said) == 4
    for one in said:
        assert one.isprintable()
        assert len(one) < 300
        assert "AuthenticationError: HTTP 401" in one
        assert text not in one
        assert "PWNED" not in one
