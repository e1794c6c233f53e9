"""A provider in a process of its own, which speaks OpenAI's and Ollama's protocols.

How it behaves is in the address: ``http://host/<status>/<delay_ms>/<words>/...``. It parses as
little as it can, so that what is measured is the client.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from itertools import count
from typing import Any

CITED = {"cited": "The warranty of pump 417 is 58 months from the day of delivery [1]."}
"""Answers that have a name in the address, in place of a number of words."""
NOW = 1_790_000_000
_numbers = count(1)


def _head(status: int, kind: str, length: int | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {status} .\r\nContent-Type: {kind}\r\n{size}\r\n\r\n".encode()


def _whole(status: int, body: object) -> list[bytes]:
    data = json.dumps(body).encode()
    return [_head(status, "application/json", len(data)) + data]


def _pieces(kind: str, parts: list[str]) -> list[bytes]:
    """One write per part, as a model that speaks word by word makes them."""
    framed = [f"{len(part.encode()):x}\r\n{part}\r\n".encode() for part in parts]
    return [_head(200, kind, None) + framed[0], *framed[1:], b"0\r\n\r\n"]


def openai_answer(pieces: list[str], *, stream: bool) -> list[bytes]:
    """A chat completion, whole or as server-sent events with usage at the end."""
    words = len(pieces)
    usage = {"prompt_tokens": 12, "completion_tokens": words, "total_tokens": 12 + words}
    base = {"id": f"chatcmpl-{next(_numbers)}", "created": NOW, "model": "gpt-4o"}
    if not stream:
        text = {"role": "assistant", "content": "".join(pieces)}
        choice: dict[str, Any] = {"index": 0, "message": text, "finish_reason": "stop"}
        base["object"] = "chat.completion"
        return _whole(200, {**base, "choices": [choice], "usage": usage})
    base["object"] = "chat.completion.chunk"
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": pieces[0]}]
    deltas += [{"content": piece} for piece in pieces[1:]]
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    events = [{**base, "choices": choice} for choice in choices]
    events.append({**base, "choices": [], "usage": usage})
    parts = [f"data: {json.dumps(event)}\n\n" for event in events]
    return _pieces("text/event-stream", [*parts, "data: [DONE]\n\n"])


def ollama_answer(pieces: list[str], *, stream: bool) -> list[bytes]:
    """An answer of ``/api/chat``, whole or as lines of JSON."""
    base = {"model": "llama3.2:3b", "created_at": "2026-11-23T00:00:00Z"}
    end = {"done_reason": "stop", "prompt_eval_count": 12, "eval_count": len(pieces)}
    if not stream:
        text = {"role": "assistant", "content": "".join(pieces)}
        return _whole(200, {**base, "message": text, "done": True, **end})
    texts = [{"role": "assistant", "content": piece} for piece in pieces]
    lines: list[dict[str, Any]] = [{**base, "message": text, "done": False} for text in texts]
    lines.append({**base, "message": {"role": "assistant", "content": ""}, "done": True, **end})
    return _pieces("application/x-ndjson", [json.dumps(line) + "\n" for line in lines])


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer when a request is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(body) < length:
            return
        self._received = b""
        self._answer(head.split(b" ", 2)[1].decode(), body)

    def _answer(self, path: str, body: bytes) -> None:
        _, status, delay_ms, words, *rest = path.split("/")
        asked = json.loads(body)
        pieces = (
            [f"{word} " for word in CITED[words].split()]
            if words in CITED
            else ["word "] * int(words)
        )
        if status != "200":
            fault = {"message": "down", "type": "server_error", "code": None, "param": None}
            parts = _whole(int(status), {"error": fault})
        elif rest[-1] == "chat":
            parts = ollama_answer(pieces, stream=asked.get("stream", True))
        else:
            parts = openai_answer(pieces, stream=bool(asked.get("stream")))
        if delay_ms == "0":
            self._write(parts)
        else:
            asyncio.get_running_loop().call_later(int(delay_ms) / 1000, self._write, parts)

    def _write(self, parts: list[bytes]) -> None:
        if self._transport.is_closing():
            return
        self._transport.writelines(parts) if len(parts) == 1 else self._write_apart(parts)

    def _write_apart(self, parts: list[bytes]) -> None:
        for part in parts:
            self._transport.write(part)


async def serve() -> None:
    """Listen on a free port, print it, and answer until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve())
