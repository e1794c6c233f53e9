"""No server fills the memory or holds the event loop, whatever it sends."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.errors import AllProvidersFailedError
from tests.contract.test_where_data_goes import (
    EMBEDDINGS,
    PLAYED,
    chat,
    chat_row,
    embed,
    embedding_row,
    provider_of,
)
from tests.flow.support import made
from tests.programs import run_text
from tests.raw_server import Asked, chunked, raw_server, whole

GIGABYTE = 1024**3
MAX_GROWTH_KIB = 160 * 1024
"""Of the whole process over seven clients, each of which met a gigabyte: what one answer may be,
twice, and the arena's own pieces."""


def bomb() -> bytes:
    """A gigabyte of one letter, as a megabyte of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.compress(b"x")
    first = packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"x" * 1024**2) + packer.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + first + block * (GIGABYTE // 1024**2)


def content_type_of(name: str, asked: Asked) -> str:
    if name == "dashscope" and b"embed" not in asked.path.encode():
        return "text/event-stream"
    return "application/json"


PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.test_bounds_of_answers import bomb, content_type_of
from tests.contract.test_where_data_goes import USES, chat, probe
from tests.raw_server import raw_server, whole

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

async def main(folder):
    packed = bomb()
    with LoopbackServer() as played:
        for protocol in ("openai", "ollama", "dashscope"):
            played.always(protocol, Reply("Hello"))
        for number, (name, use, row_of) in enumerate(USES):
            row = row_of(name, played.ollama_url, api_key_env="LOOPBACK_KEY")
            await use(row, folder / f"a{number}")
    before = peak()
    for number, (name, use, row_of) in enumerate(USES):
        def answer(asked):
            more = "Content-Encoding: gzip\\r\\n"
            return whole(packed, content_type=content_type_of(name, asked), more=more)
        with raw_server(answer) as server:
            row = row_of(name, server.url, api_key_env="LOOPBACK_KEY")
            if use is probe:
                found = await use(row, folder / f"b{number}")
                assert found.reachable is False or "anyllm" in name, (name, found)
                continue
            try:
                await use(row, folder / f"b{number}")
            except AllProvidersFailedError as error:
                assert "larger than" in str(error), str(error)
                assert error.attempts[0]["error_type"] == "MalformedAnswerError", error.attempts
            else:
                raise AssertionError(name)
    print(peak() - before)

asyncio.run(main(Path.cwd()))
"""


def test_a_gigabyte_that_is_a_megabyte_on_the_wire_takes_no_memory(tmp_path: Path) -> None:
    assert len(bomb()) < 1_100_000
    done = run_text(PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MAX_GROWTH_KIB


class Flood:
    """A body that does not end, and how much of it was taken."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.head = head
        self.piece = piece
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self.head
        while self.taken < 500_000_000:
            yield self.piece
            self.taken += len(self.piece)


FLOODS = {
    "no length": (b"Connection: close\r\n\r\n", b"x" * 65_536),
    "a length": (b"Content-Length: 500000000\r\n\r\n", b"x" * 65_536),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    "comments": (b"Connection: close\r\n\r\n", b": still\n\n" * 7_000),
    "empty data": (b"Connection: close\r\n\r\n", b"data:\n\n" * 9_000),
    "blank lines": (b"Connection: close\r\n\r\n", b"\n" * 65_536),
}
CASES = [(name, "no length") for name in PLAYED]
CASES += [("openai", flood) for flood in FLOODS if flood != "no length"]


@pytest.mark.parametrize(("name", "flood"), CASES)
async def test_a_body_without_end_is_refused(name: str, flood: str, tmp_path: Path) -> None:
    db = tmp_path / "costs.db"
    floods: list[Flood] = []

    def answer(asked: Asked) -> Flood:
        kind = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type_of(name, asked)}\r\n".encode()
        more, piece = FLOODS[flood]
        floods.append(Flood(kind + more, piece))
        return floods[-1]

    with raw_server(answer) as server:
        row = chat_row(name, server.url, api_key_env="LOOPBACK_KEY", timeout_s=300)
        with pytest.raises(AllProvidersFailedError) as caught:
            await chat(row, db)
    (attempt,) = caught.value.attempts
    assert attempt["error_type"] == "MalformedAnswerError", attempt
    assert "larger than" in attempt["reason"], attempt
    assert [one.taken < 200_000_000 for one in floods] == [True]


@pytest.mark.parametrize("name", EMBEDDINGS)
async def test_vectors_without_end_are_refused(name: str, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n["
    with raw_server(lambda asked: Flood(head, b"0.123456, " * 6_000)) as server:
        row = embedding_row(name, server.url, api_key_env="LOOPBACK_KEY", timeout_s=300)
        with pytest.raises(AllProvidersFailedError) as caught:
            await embed(row, tmp_path / "costs.db")
    assert "larger than" in caught.value.attempts[0]["reason"]


def test_the_bound_of_vectors_grows_with_them() -> None:
    few = provider_of(embedding_row("openai", "http://gpu"))
    many = provider_of(embedding_row("openai", "http://gpu", dimensions=4096, batch_size=2048))
    assert few.most_bytes < 2048 * 4096 * 25 < many.most_bytes  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error"])
@pytest.mark.parametrize("name", PLAYED)
async def test_an_endless_error_is_still_that_error(name: str, status: str, tmp_path: Path) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    flood = Flood(head.encode(), b" " * 65_536)
    with raw_server(lambda asked: flood) as server:
        row = chat_row(name, server.url, api_key_env="LOOPBACK_KEY", timeout_s=300)
        with pytest.raises(AllProvidersFailedError) as caught:
            await chat(row, tmp_path / "costs.db")
    wanted = "RateLimitError" if status.startswith("429") else "ProviderUnavailableError"
    assert caught.value.attempts[0]["error_type"] == wanted
    assert caught.value.attempts[0]["cost_basis"] == "none"
    assert flood.taken < 50_000_000


BRACKETS = b'{"a":' * 20_000, b"[" * 20_000, b"[" * 20_000 + b"]" * 20_000


@pytest.mark.parametrize("body", BRACKETS, ids=["objects", "lists", "closed lists"])
@pytest.mark.parametrize("name", PLAYED)
async def test_brackets_stall_nothing(name: str, body: bytes, tmp_path: Path) -> None:
    db = tmp_path / "costs.db"

    def answer(asked: Asked) -> Any:
        if name == "dashscope" or b'"stream":true' in asked.body.replace(b" ", b""):
            event = body if "ollama" in name else b"data: " + body + b"\n\n"
            return chunked([event], content_type=content_type_of("dashscope", asked))
        return whole(body)

    with raw_server(answer) as server:
        row = chat_row(name, server.url, api_key_env="LOOPBACK_KEY")
        began = time.thread_time()
        with pytest.raises(AllProvidersFailedError) as caught:
            await chat(row, db)
        took_s = time.thread_time() - began
    (attempt,) = caught.value.attempts
    assert attempt["error_type"] == "MalformedAnswerError", attempt
    assert [record["status"] for record in made(db)] == ["failed"]
    # Of processor time: what the loading of a client takes, and no more.
    assert took_s < 10


HEADS = {
    "a long field": b"X-Long: " + b"x" * 10_000_000 + b"\r\n",
    "many fields": b"".join(b"X-%d: %s\r\n" % (n, b"x" * 4_000) for n in range(5_000)),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", PLAYED)
async def test_headers_without_end_are_refused(name: str, head: str, tmp_path: Path) -> None:
    db = tmp_path / "costs.db"
    answer = b"HTTP/1.1 200 OK\r\n" + HEADS[head] + b"Content-Length: 2\r\n\r\n{}"
    with raw_server(lambda asked: [answer]) as server:
        row = chat_row(name, server.url, api_key_env="LOOPBACK_KEY")
        with pytest.raises(AllProvidersFailedError):
            await chat(row, db)
    assert [record["status"] for record in made(db)] == ["failed"]
