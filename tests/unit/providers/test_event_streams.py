"""Streams reach clients as the standards mean them, however they come and wherever they are cut."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.http.event_streams import BodyReader

MOST = 1000
PLAIN = b'data: {"a": 1}\n\ndata: {"b": "\xc3\xa4"}\n\n'

EVENTS: dict[str, tuple[bytes, bytes]] = {
    "plain": (PLAIN, PLAIN),
    "without a space": (b'data:{"a": 1}\n\ndata:{}\n\n', b'data:{"a": 1}\n\ndata:{}\n\n'),
    "empty data": (b'data:\n\ndata: {"a": 1}\n\ndata: \n\n', b'data: {"a": 1}\n\n'),
    "blank data": (b'data:   \n\ndata: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
    "data without a colon": (b'data\n\ndata: {"a": 1}\n\n', b'data: {"a": 1}\n\n'),
    "comments": (b': hi\n\n:\n:x\ndata: {"a": 1}\n: hi\n\n', b'data: {"a": 1}\n\n'),
    "other fields alone": (
        b'event: ping\n\nid: 7\n\nretry: 30\n\nfoo\n\ndata: {"a": 1}\n\n\n\n',
        b'data: {"a": 1}\n\n',
    ),
    "other fields beside data": (
        b'id: 1\nevent: result\n:HTTP_STATUS/200\ndata:{"a": 1}\n\n',
        b'event: result\ndata:{"a": 1}\n\n',
    ),
    "data of two lines": (b'data: {"a":\ndata: 1}\n\n', b'data: {"a":\ndata: 1}\n\n'),
    "carriage returns": (b'data: {"a": 1}\r\rdata: {}\r\r', b'data: {"a": 1}\n\ndata: {}\n\n'),
    "both line ends": (
        b'data: {"a": 1}\r\n\r\ndata: {}\r\n\r\n',
        b'data: {"a": 1}\n\ndata: {}\n\n',
    ),
    "mixed line ends": (b'data: {"a": 1}\r\n\ndata: {}\n\r', b'data: {"a": 1}\n\ndata: {}\n\n'),
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN, PLAIN),
    "blank lines before": (b"\r\n\n" + PLAIN, PLAIN),
    "no last blank line": (PLAIN[:-1], PLAIN),
    "no last line end": (PLAIN[:-2], PLAIN),
    "no last line end of the mark": (PLAIN + b"data: [DONE]", PLAIN + b"data: [DONE]\n\n"),
    "half an event at the end": (PLAIN + b'data: {"c": [1,', PLAIN),
    "text behind the mark": (
        PLAIN + b"data: [DONE]\n\ndata: [DONE]\n\ndata: {\n\nbye\n\n",
        PLAIN + b"data: [DONE]\n\n",
    ),
}

LINES: dict[str, tuple[bytes, bytes]] = {
    "plain": (b'{"a": 1}\n{"b": 2}\n', b'{"a": 1}\n{"b": 2}\n'),
    "blank lines": (b'\n{"a": 1}\n\n\n{"b": 2}\n\n', b'{"a": 1}\n{"b": 2}\n'),
    "lines of spaces": (b'{"a": 1}\n   \n\t\n{"b": 2}\n', b'{"a": 1}\n{"b": 2}\n'),
    "both line ends": (b'{"a": 1}\r\n\r\n{"b": 2}\r\n', b'{"a": 1}\n{"b": 2}\n'),
    "byte order mark": (b'\xef\xbb\xbf{"a": 1}\n', b'{"a": 1}\n'),
    "no last line end": (b'{"a": 1}\n{"b": 2}', b'{"a": 1}\n{"b": 2}'),
    "other separators": (
        '{"a": "x\x85y\u2028z\u2029\u201c\u00c2"}\n'.encode(),
        '{"a": "x\\u0085y\\u2028z\\u2029\u201c\u00c2"}\n'.encode(),
    ),
    "a list": (b"[1, 2]", b"[1, 2]"),
    "a number": (b"\n 42", b"42"),
    "a word": (b"null", b"null"),
    "nothing": (b"", b""),
    "an error page": (b"<html>\n<p>Bad</p>", b"<html>\n<p>Bad</p>"),
}


def read(pieces: Iterable[bytes], *, declared: bool) -> bytes:
    reader = BodyReader(declared_events=declared, most_event_bytes=MOST)
    return b"".join([*(reader.feed(piece) for piece in pieces), reader.end()])


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("name", EVENTS)
def test_events_arrive_as_they_are_meant(name: str, size: int, declared: bool) -> None:
    body, meant = EVENTS[name]
    assert read(cut(body, size), declared=declared) == meant


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("name", LINES)
def test_lines_arrive_as_they_are_meant(name: str, size: int) -> None:
    body, meant = LINES[name]
    assert read(cut(body, size), declared=False) == meant


def test_json_that_is_declared_as_events_passes() -> None:
    assert read([b'{"error": 1}'], declared=True) == b'{"error": 1}'


def test_events_that_begin_with_a_field_of_no_standard_are_known_by_their_type() -> None:
    assert read([b"x-meta: 1\ndata: {}\n\n"], declared=True) == b"data: {}\n\n"


@given(
    body=st.lists(
        st.sampled_from([b"data:", b"data: {}", b"data", b":", b"id: 1", b"\n", b"\r", b"\n\n"])
    ).map(b"".join),
    size=st.integers(1, 9),
)
def test_where_a_stream_is_cut_makes_no_difference(body: bytes, size: int) -> None:
    stream = b"data: {}\n\n" + body
    assert read(cut(stream, size), declared=True) == read([stream], declared=True)


@given(value=st.recursive(st.text() | st.integers(), st.lists), size=st.integers(1, 9))
def test_lines_keep_their_meaning(value: object, size: int) -> None:
    body = json.dumps(value, ensure_ascii=False, indent=1).encode()
    assert json.loads(read(cut(body, size), declared=False)) == value


@pytest.mark.parametrize("size", [1, 400, 10_000])
def test_an_event_without_end_is_refused(size: int) -> None:
    with pytest.raises(MalformedAnswerError, match="one event"):
        read(cut(b"data: {" + b"x" * (MOST + 1), size), declared=True)
