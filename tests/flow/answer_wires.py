"""Answers as servers of OpenAI's protocol send them, and a chain in which another one waits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aegis_graph.testing import LoopbackServer, RawReply, Received, Reply
from aegis_graph.testing.loopback.replies import EVENT_STREAM, Step
from tests.flow.support import Row, make_config, open_router, provider

PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
REPORTED = 10 * 1_000 + 4 * 10_000
"""Nano-USD of that usage at that price."""

OPENAI_KINDS = ("openai", "anyllm", "langchain")
"""The kinds that can speak OpenAI's protocol."""

HEALTHY = Reply("It is Ulm.")


def suspect(server: LoopbackServer, kind: str, **changes: Any) -> Row:
    """A row of a kind that speaks its protocol to the server."""
    if kind in ("anyllm", "langchain"):
        row = {**provider(server, "openai", model="openai:suspect"), "kind": kind}
    else:
        row = provider(server, kind, model="qwen-plus" if kind == "dashscope" else "suspect")
    return {**row, "name": "suspect", "price": PRICE, **changes}


def open_chain(server: LoopbackServer, db: Path, row: Row, **config: Any) -> Any:
    """A router of that row and a healthy one behind it."""
    server.always("openai", HEALTHY, model="healthy")
    behind = provider(server, "openai", name="healthy", model="healthy")
    return open_router(make_config(server, db, providers=[row, behind], **config))


def answering(
    message: Mapping[str, Any],
    reason: object = "stop",
    *,
    usage: object = USAGE,
    of_choice: Mapping[str, Any] | None = None,
    **of_body: Any,
) -> Step:
    """An answer with this message, whole or streamed as the call asks for it.

    Args:
        message: The message; streamed, it is one delta.
        reason: Its finish reason; streamed, a list has one chunk for each.
        usage: Of the body, or of the last chunk.
        of_choice: Further fields of the choice; streamed, of each last one.
        of_body: Further fields of the body or of each chunk.
    """

    def play(call: Received) -> RawReply:
        head: dict[str, Any] = {"id": "chatcmpl-1", "created": 1, "model": "served-1"}
        if not call.streamed:
            ending = {"finish_reason": reason, **(of_choice or {})}
            whole = {"role": "assistant", "content": None, **message}
            body = {"choices": [{"index": 0, "message": whole, **ending}], "usage": usage}
            return RawReply(body=_json({**head, "object": "chat.completion", **body, **of_body}))
        reasons = reason if isinstance(reason, list) else [reason]
        deltas = [{"role": "assistant", **_as_delta(message)}]
        choices: list[dict[str, Any]] = [
            {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        choices += [
            {"index": 0, "delta": {}, "finish_reason": one, **(of_choice or {})} for one in reasons
        ]
        head |= {"object": "chat.completion.chunk", **of_body}
        chunks: list[dict[str, Any]] = [{**head, "choices": [one]} for one in choices]
        return events([*chunks, {**head, "choices": [], "usage": usage}])

    return play


def events(chunks: Sequence[object]) -> RawReply:
    """A stream of server-sent events, to its end mark."""
    lines = [b"data: " + _json(chunk) + b"\n\n" for chunk in chunks]
    return RawReply(headers=EVENT_STREAM, chunks=(*lines, b"data: [DONE]\n\n"))


def _as_delta(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
