"""Bodies are unpacked and counted while they come."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.http.bodies import MAX_ERROR_BYTES, Body

MOST = 100_000
MOST_OF_A_STREAM = 300_000
TEXT = b'{"text": "' + b"x" * 5_000 + b'"}'
GZIPPED = gzip.compress(TEXT, mtime=0)
"""Of no hour: tests are named after it, and each process that runs them has to find the same."""


async def _pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def read(pieces: Iterable[bytes], *, status: int = 200, **headers: str) -> bytes:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    body = Body(status, named, most_bytes=MOST, most_stream_bytes=MOST_OF_A_STREAM)
    assert "content-encoding" not in named, "the client would unpack it again"
    return b"".join([piece async for piece in body.read(_pieces(pieces))])


def raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", GZIPPED),
        ("X-GZIP", GZIPPED),
        ("identity, gzip", GZIPPED),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("identity", TEXT),
        ("", TEXT),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
async def test_what_was_offered_is_unpacked(encoding: str, packed: bytes, size: int) -> None:
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert await read(pieces, content_encoding=encoding) == TEXT


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "compress"])
async def test_what_was_not_offered_is_refused(encoding: str) -> None:
    with pytest.raises(MalformedAnswerError, match="was not offered"):
        await read([TEXT], content_encoding=encoding)


async def test_what_is_no_gzip_is_refused() -> None:
    with pytest.raises(MalformedAnswerError, match="Content-Encoding"):
        await read([b"\x1f\x8b\x08 nothing of the kind"], content_encoding="gzip")


@pytest.mark.parametrize(
    ("content_type", "most"),
    [
        ("application/json", MOST),
        ("text/event-stream; charset=utf-8", MOST_OF_A_STREAM),
        ("application/x-ndjson", MOST_OF_A_STREAM),
    ],
)
async def test_a_body_ends_at_its_bound(content_type: str, most: int) -> None:
    line = b'data: "' + b"x" * 992 + b'"\n\n'
    start = b"" if "event" in content_type else b"1"
    enough = [start, *[line] * (most // 1002)]
    assert len(await read(enough, content_type=content_type)) > most - 2_000
    with pytest.raises(MalformedAnswerError, match=f"larger than {most:,} bytes"):
        await read([*enough, *[line] * 2], content_type=content_type)


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b" " * 10**8, mtime=0), raw_deflate(b" " * 10**8)],
    ids=["gzip", "deflate"],
)
async def test_a_bomb_is_refused_at_the_bound(packed: bytes) -> None:
    name = "gzip" if packed.startswith(b"\x1f") else "deflate"
    with pytest.raises(MalformedAnswerError, match="larger than"):
        await read([packed], content_encoding=name)


async def test_bytes_behind_the_packed_ones_count_too() -> None:
    with pytest.raises(MalformedAnswerError, match="larger than"):
        await read([GZIPPED, *[b"x" * 1_000] * 101], content_encoding="gzip")


async def test_a_length_beyond_the_bound_is_refused_unread() -> None:
    with pytest.raises(MalformedAnswerError, match="larger than"):
        await read([], content_length="500000000")


@pytest.mark.parametrize("length", ["5000", "", "9" * 15, "-1", "x"])
async def test_an_error_is_cut_off_and_not_refused(length: str) -> None:
    found = await read([b"e" * 40_000] * 500, status=429, content_length=length)
    assert found == b"e" * MAX_ERROR_BYTES


async def test_an_error_is_unpacked_no_further() -> None:
    found = await read([gzip.compress(b"e" * 10**8)], status=500, content_encoding="gzip")
    assert found == b"e" * MAX_ERROR_BYTES


async def test_a_body_goes_on_where_it_was() -> None:
    body = Body(200, httpx.Headers(), most_bytes=MOST, most_stream_bytes=MOST)
    pieces = _pieces([b'{"a":', b" 1}"])
    first = aiter(body.read(pieces))
    assert await anext(first) == b'{"a":'
    assert [piece async for piece in body.read(pieces)] == [b" 1}"]
