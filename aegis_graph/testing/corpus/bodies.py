"""Bodies and headers of status 200 that are no JSON, broken JSON, or JSON in another coat."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping

from aegis_graph.testing.corpus.hostile_response import (
    BROKEN,
    EMPTY,
    PAID,
    Forms,
    HostileResponse,
    Outcome,
    answered,
    failed,
)
from aegis_graph.testing.corpus.wire_forms import TEXT, WireForm, encode
from aegis_graph.testing.loopback.replies import JSON, RawReply

DEEP = 20_000
"""Brackets in a body that no parser of Python's can follow."""

_UNREADABLE = failed(*BROKEN, *EMPTY)
_EITHER = answered(TEXT, bases=PAID) | failed(*BROKEN)

UNREADABLE: Mapping[str, bytes] = {
    "empty": b"",
    "a blank": b" ",
    "line ends": b"\r\n\r\n\n\n",
    "HTML": b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "a word": b"OK",
    "null": b"null",
    "true": b"true",
    "a number": b"42",
    "a huge number": b"9" * 5_000,
    "1e400": b"1e400",
    "a text": b'"The capital is Paris"',
    "an empty table": b"{}",
    "an empty list": b"[]",
    "a list of null": b"[null]",
    "a list of tables": b'[{"choices": []}]',
    "an open bracket": b"{",
    "many open brackets": b"[" * DEEP,
    "many open braces": b'{"a":' * DEEP,
    "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "deep below a key": b'{"choices":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "one quote": b'"',
    "single quotes": b"{'choices': []}",
    "a comment": b"// nothing\n{}",
    "NUL": b"\x00",
    "NUL and a table": b"\x00{}",
    "all bytes": bytes(range(256)),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(1_000),
    "an escape sequence": b"\x1b]0;PWNED\x07\x1b[2J",
    "an unfinished escape": b'{"model":"\\u12',
    "a wrong escape": b'{"model":"\\x41"}',
    "unknown keys": b'{"result": "The capital is Paris"}',
    "two documents": b"{}{}",
    "a table in a table": b'{"data": {"choices": []}}',
}
"""Bodies without an answer, for any wire."""


def body_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Bodies that cannot be read, and valid ones in an unusual coat."""
    for name, forms, outcome in (*_unreadable(form), *_texts(form), *_coats(form), *_framed(form)):
        yield HostileResponse(name, form.name, forms, outcome)


Row = tuple[str, Forms, Outcome]


def _unreadable(form: WireForm) -> Iterator[Row]:
    whole, events = encode(form.whole()), [form.frame(event) for event in form.events()]
    for what, data in UNREADABLE.items():
        stream = RawReply(headers=form.stream_headers, body=data)
        yield f"body: {what}", Forms(form.body(data), stream), _UNREADABLE
    for share in (2, 20, 40, 60, 80, 98):
        half = whole[: len(whole) * share // 100]
        yield f"body: {share} % of the JSON", Forms(whole=form.body(half)), _UNREADABLE
    joined = b"".join(events)
    for share in (2, 30, 60):
        half = joined[: len(joined) * share // 100]
        stream = RawReply(headers=form.stream_headers, body=half)
        yield f"body: {share} % of the events", Forms(streamed=stream), _UNREADABLE


def _with(form: WireForm, old: bytes, new: bytes) -> Forms:
    """A valid answer with other bytes in place of some."""
    whole = encode(form.whole()).replace(old, new)
    events = [form.frame(event).replace(old, new) for event in form.events()]
    return Forms(form.body(whole), form.stream(events))


def _texts(form: WireForm) -> Iterator[Row]:
    for what, escaped, texts in (
        ("half a character", b"\\ud800", ("\ud800", "\ufffd", "?", "")),
        ("the other half", b"\\udfff", ("\udfff", "\ufffd", "?", "")),
        ("NUL", b"\\u0000", ("\x00", "\ufffd", "?", "")),
        ("an escape sequence", b"\\u001b[2J", ("\x1b[2J",)),
        ("a whole pair", b"\\ud83d\\ude00", ("\U0001f600",)),
        ("a character of two bytes", "ä".encode(), ("ä",)),
        ("a character of four bytes", "\U0001f600".encode(), ("\U0001f600",)),
        ("right to left", b"\\u202e", ("\u202e",)),
        ("line ends", b"\\r\\n\\u2028", ("\r\n\u2028",)),
    ):
        outcome = answered(*(TEXT.replace("Paris", f"Pa{text}ris") for text in texts))
        if what in {"half a character", "the other half", "NUL"}:
            outcome |= failed(*BROKEN)
        yield f"text: {what}", _with(form, b"Paris", b"Pa" + escaped + b"ris"), outcome
    for what, raw in (
        ("invalid UTF-8", b"\xff\xfe"),
        ("half of a sequence", b"\xc3"),
        ("an encoded surrogate", b"\xed\xa0\x80"),
        ("too long an encoding", b"\xc0\xaf"),
        ("Latin-1", b"\xe4"),
        ("a raw line end", b"\r\n"),
        ("a raw NUL", b"\x00"),
    ):
        damaged = Outcome(texts=_damaged(raw), bases=frozenset(PAID)) | _UNREADABLE
        yield f"text: {what}", _with(form, b"Paris", b"Pa" + raw + b"ris"), damaged
    twice = b'"object":"a","object":"b","model":'
    yield "text: the same key twice", _with(form, b'"model":', twice), answered(TEXT)


def _damaged(raw: bytes) -> frozenset[str]:
    """What a lenient reader may make of bytes that are no UTF-8."""
    readings = {raw.decode("utf-8", "replace"), raw.decode("latin-1"), "\ufffd", ""}
    readings.add(raw.decode("utf-8", "surrogateescape"))
    # Python's own parser takes encoded surrogates for characters.
    readings.add(raw.decode("utf-8", "surrogatepass") if raw == b"\xed\xa0\x80" else "")
    return frozenset(TEXT.replace("Paris", f"Pa{reading}ris") for reading in readings)


def _coats(form: WireForm) -> Iterator[Row]:
    yield from _packed(form)
    yield from _wrapped(form)
    yield from _declared(form)


def _coated(form: WireForm, data: bytes, streamed: bytes, **headers: str) -> Forms:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Forms(
        RawReply(headers={**JSON, **named}, body=data),
        RawReply(headers={**form.stream_headers, **named}, body=streamed),
    )


def _gzipped(data: bytes) -> bytes:
    # Of no hour: the corpus is the same whenever it is made.
    return gzip.compress(data, mtime=0)


def _packed(form: WireForm) -> Iterator[Row]:
    """By codings, those that were offered and others."""
    whole, stream = encode(form.whole()), form.streamed()
    for coding, pack, outcome in (
        ("gzip", _gzipped, answered(TEXT)),
        ("deflate", zlib.compress, _EITHER),
    ):
        forms = _coated(form, pack(whole), pack(stream), Content_Encoding=coding)
        yield f"coat: {coding}", forms, outcome
    broken = failed(*BROKEN, *EMPTY)
    for what, data in {
        "gzip that is none": b"no gzip",
        "half of gzip": _gzipped(whole)[:20],
        "gzip with a wrong sum": _gzipped(whole)[:-8] + bytes(8),
    }.items():
        outcome = broken if "sum" not in what else _EITHER | broken
        yield f"coat: {what}", _coated(form, data, data, Content_Encoding="gzip"), outcome
    for coding in ("identity", "bogus", "", "gzip, gzip"):
        forms = _coated(form, whole, stream, Content_Encoding=coding)
        outcome = answered(TEXT) if coding == "identity" else _EITHER
        yield f"coat: the coding is {coding!r}", forms, outcome


def _wrapped(form: WireForm) -> Iterator[Row]:
    """In other bytes around them, or instead of them."""
    whole, stream = encode(form.whole()), form.streamed()
    lenient = _EITHER | failed(*BROKEN, *EMPTY)
    for what, data, streamed, outcome in (
        ("a mark of byte order", b"\xef\xbb\xbf" + whole, b"\xef\xbb\xbf" + stream, _EITHER),
        (
            "UTF-16",
            whole.decode().encode("utf-16"),
            stream.decode().encode("utf-16"),
            lenient,
        ),
        (
            "blanks around it",
            b"\r\n \t" + whole + b"\n\n",
            b"\n\n" + stream + b"\n\n",
            answered(TEXT),
        ),
        ("bytes after it", whole + b"}", stream + b"}", lenient),
    ):
        yield f"coat: {what}", _coated(form, data, streamed), outcome


def _declared(form: WireForm) -> Iterator[Row]:
    """As another type than they are."""
    whole, stream = encode(form.whole()), form.streamed()
    for kind in (
        "text/plain",
        "text/html",
        "application/octet-stream",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=bogus",
        "text/event-stream",
        "",
        "bogus",
        "application/x-ndjson",
    ):
        yield (
            f"coat: the type is {kind!r}",
            _coated(form, whole, stream, Content_Type=kind),
            _EITHER,
        )
    no_type = Forms(RawReply(headers={}, body=whole), RawReply(headers={}, body=stream))
    yield "coat: no type", no_type, _EITHER


def _framed(form: WireForm) -> Iterator[Row]:
    whole = encode(form.whole())
    stream = form.streamed()
    coats = ((JSON, whole), (form.stream_headers, stream))

    def framed(shape: str) -> Forms:
        replies = []
        for headers, data in coats:
            more, body = _FRAMES[shape](data)
            replies.append(RawReply(headers={**headers, **more}, body=body))
        return Forms(*replies)

    for shape in _FRAMES:
        outcome = answered(TEXT) if shape in _SOUND else _EITHER
        yield f"frame: {shape}", framed(shape), outcome


_CHUNKED = {"Transfer-Encoding": "chunked"}
_SOUND = {"small chunks", "chunks with extensions", "a trailer"}


def _chunks(data: bytes, size: int, extension: bytes = b"") -> bytes:
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)


_FRAMES: Mapping[str, Callable[[bytes], tuple[Mapping[str, str], bytes]]] = {
    # No header says where the body ends: the end of the connection does.
    "no length": lambda data: ({"Transfer-Encoding": "identity"}, data),
    "too long a length": lambda data: ({"Content-Length": str(len(data) + 100)}, data),
    "too short a length": lambda data: ({"Content-Length": str(len(data) // 2)}, data),
    "a negative length": lambda data: ({"Content-Length": "-5"}, data),
    "a length that is no number": lambda data: ({"Content-Length": "many"}, data),
    "a length of 10**30": lambda data: ({"Content-Length": str(10**30)}, data),
    "small chunks": lambda data: (_CHUNKED, _chunks(data, 7) + b"0\r\n\r\n"),
    "chunks of one byte": lambda data: (_CHUNKED, _chunks(data, 1) + b"0\r\n\r\n"),
    "chunks with extensions": lambda data: (_CHUNKED, _chunks(data, 90, b";a=b") + b"0\r\n\r\n"),
    "a trailer": lambda data: (_CHUNKED, _chunks(data, 90) + b"0\r\nX-Sum: 1\r\n\r\n"),
    "no last chunk": lambda data: (_CHUNKED, _chunks(data, 90)),
    "a size that is no number": lambda data: (_CHUNKED, b"zz\r\n" + data),
    "a size that is negative": lambda data: (_CHUNKED, b"-5\r\n" + data),
    "too small a size": lambda data: (_CHUNKED, b"5\r\n" + data + b"\r\n0\r\n\r\n"),
    "too large a size": lambda data: (_CHUNKED, b"fffff\r\n" + data + b"\r\n0\r\n\r\n"),
    "a size of 2**80": lambda data: (_CHUNKED, b"100000000000000000000\r\n" + data),
}
