"""Streams as servers send them, byte for byte, through every kind's client."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from tests.contract.test_where_data_goes import PLAYED, chat_row, config_of
from tests.flow.support import made, open_router
from tests.raw_server import Asked, chunked, raw_server

TEXT = "Gr\u00fc\u00dfe \u201caus\u201d K\u00f6ln\x85\u2028."
WORDS = ["Gr\u00fc\u00dfe ", "\u201caus\u201d ", "K\u00f6ln\x85\u2028", "."]
INPUT, OUTPUT = 11, 7


def packed(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def openai_events() -> list[bytes]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return packed({**head, "choices": [choice]})

    usage = {
        "prompt_tokens": INPUT,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + OUTPUT,
    }
    words = [chunk({"role": "assistant", "content": word}) for word in WORDS]
    return [*words, chunk({}, "stop"), packed({**head, "choices": [], "usage": usage})]


def dashscope_events() -> list[bytes]:
    def frame(text: str, reason: str) -> bytes:
        message = {"role": "assistant", "content": text}
        usage = {
            "input_tokens": INPUT,
            "output_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
        }
        output = {"choices": [{"message": message, "finish_reason": reason}]}
        return packed({"output": output, "usage": usage, "request_id": "r1"})

    return [*(frame(word, "null") for word in WORDS), frame("", "stop")]


def ollama_lines() -> list[bytes]:
    head = {"model": "llama3.2:3b", "created_at": "2026-11-29T00:00:00Z"}

    def line(text: str, **more: Any) -> bytes:
        message = {"role": "assistant", "content": text}
        return packed({**head, "message": message, "done": False, **more})

    counts = {"prompt_eval_count": INPUT, "eval_count": OUTPUT}
    return [*map(line, WORDS), line("", done=True, done_reason="stop", **counts)]


def joined(events: Sequence[bytes], before: bytes = b"data: ", after: bytes = b"\n\n") -> bytes:
    return b"".join(before + event + after for event in events)


def between(events: Sequence[bytes], what: bytes) -> bytes:
    return what + what.join(joined([event]) for event in events) + what


DONE = b"data: [DONE]\n\n"
EVENTS: dict[str, Callable[[Sequence[bytes]], bytes]] = {
    "plain": lambda events: joined(events) + DONE,
    "no end mark": joined,
    "without a space": lambda events: joined(events, b"data:") + DONE,
    "empty data": lambda events: between(events, b"data:\n\n") + DONE,
    "empty data with a space": lambda events: between(events, b"data: \n\n") + DONE,
    "data without a colon": lambda events: between(events, b"data\n\n") + DONE,
    "comments": lambda events: between(events, b": PROCESSING\n\n") + DONE,
    "comments without a blank line": lambda events: between(events, b":\n: still\n") + DONE,
    "event field alone": lambda events: between(events, b"event: ping\n\n") + DONE,
    "id field alone": lambda events: between(events, b"id: 7\n\n") + DONE,
    "retry field alone": lambda events: between(events, b"retry: 3000\n\n") + DONE,
    "unknown field": lambda events: between(events, b"x-queue: 3\n\n") + DONE,
    "blank lines": lambda events: between(events, b"\n\n\n") + DONE,
    "fields in every event": lambda events: (
        joined(events, b"id: 1\nevent: message\nretry: 10\n: hi\ndata: ") + DONE
    ),
    "both line ends": lambda events: (joined(events) + DONE).replace(b"\n", b"\r\n"),
    "carriage returns": lambda events: (joined(events) + DONE).replace(b"\n", b"\r"),
    "byte order mark": lambda events: b"\xef\xbb\xbf" + joined(events) + DONE,
    "no last blank line": lambda events: joined(events)[:-1],
    "no last line end": lambda events: joined(events)[:-2],
    "end mark without its end": lambda events: joined(events) + DONE[:-2],
    "end mark twice": lambda events: joined(events) + DONE + DONE,
    "text behind the end mark": lambda events: joined(events) + DONE + b"bye\n\ndata: {no\n\n",
    "data of two lines": lambda events: (
        joined([event.replace(b",", b",\ndata: ", 1) for event in events]) + DONE
    ),
}
LINES: dict[str, Callable[[Sequence[bytes]], bytes]] = {
    "plain": lambda lines: joined(lines, b"", b"\n"),
    "blank lines": lambda lines: joined(lines, b"\n\n", b"\n\n"),
    "lines of spaces": lambda lines: joined(lines, b"", b"\n   \n\t\n"),
    "both line ends": lambda lines: joined(lines, b"", b"\r\n"),
    "blank lines of both ends": lambda lines: joined(lines, b"\r\n", b"\r\n"),
    "byte order mark": lambda lines: b"\xef\xbb\xbf" + joined(lines, b"", b"\n"),
    "no last line end": lambda lines: joined(lines, b"", b"\n")[:-1],
}
SIZES = {"whole": 1_000_000, "odd": 7, "single": 1}


def body_of(name: str, variant: str) -> bytes:
    if "ollama" in name:
        return LINES[variant](ollama_lines())
    return EVENTS[variant](dashscope_events() if name == "dashscope" else openai_events())


CASES = [
    (name, variant, size)
    for name in PLAYED
    for variant in (LINES if "ollama" in name else EVENTS)
    # Where it is cut is looked at in full below the clients.
    for size in (SIZES if variant == "plain" else ("odd",))
]


@pytest.mark.parametrize(("name", "variant", "size"), CASES)
async def test_the_answer_is_whole_and_its_usage_counts(
    name: str, variant: str, size: str, tmp_path: Path
) -> None:
    db = tmp_path / "costs.db"
    body = body_of(name, variant)
    step = SIZES[size]

    def answer(asked: Asked) -> Any:
        kind = "application/x-ndjson" if "ollama" in name else "text/event-stream"
        return chunked(
            (body[at : at + step] for at in range(0, len(body), step)), content_type=kind
        )

    with raw_server(answer) as server:
        row = chat_row(name, server.url, api_key_env="LOOPBACK_KEY")
        model = RoutedChatModel(
            router=open_router(config_of(db, providers=[row])), sensitivity="pii"
        )
        text = "".join([chunk.text async for chunk in model.astream("Hello?")])

    assert text == TEXT
    (record,) = made(db)
    assert (record["status"], record["cost_basis"]) == ("answered", "reported"), record
    assert (record["input_tokens"], record["output_tokens"]) == (INPUT, OUTPUT)
