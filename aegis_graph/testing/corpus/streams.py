"""Streams of events and of lines as servers and proxies really write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

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
from aegis_graph.testing.loopback.replies import RawReply

_RIGHT = answered(TEXT)
_UNCOUNTED = answered(TEXT, bases=("estimated", "reported"))
_EITHER = answered(TEXT, bases=PAID) | failed(*BROKEN)
_LOST = failed(*BROKEN, *EMPTY, bases=PAID)

Row = tuple[str, RawReply, Outcome]


def stream_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Streams that are right in another dress, and some that are not."""
    own = (_lines,) if form.name == "ollama" else (_between_events, _rewritten, _ended)
    parts = (_pieces, _foreign_documents, _rearranged, *own)
    for name, reply, outcome in chain.from_iterable(part(form) for part in parts):
        yield HostileResponse(f"stream: {name}", form.name, Forms(streamed=reply), outcome)


def _frames(form: WireForm) -> list[bytes]:
    return [form.frame(event) for event in form.events()]


def _raw(form: WireForm, data: bytes) -> RawReply:
    return RawReply(headers=form.stream_headers, body=data)


def _pieces(form: WireForm) -> Iterator[Row]:
    joined = form.streamed()
    accented = joined.replace(b"Paris", "Pärís \U0001f600".encode())
    for size in (1, 2, 3, 7, 16, 100):
        chunks = tuple(joined[start : start + size] for start in range(0, len(joined), size))
        if size > 2:
            yield (
                f"pieces of {size} bytes",
                RawReply(headers=form.stream_headers, chunks=chunks),
                _RIGHT,
            )
        many = tuple(accented[start : start + size] for start in range(0, len(accented), size))
        text = answered(TEXT.replace("Paris", "Pärís \U0001f600"))
        reply = RawReply(headers=form.stream_headers, chunks=many)
        yield f"accents in pieces of {size} bytes", reply, text
    yield "all in one piece", _raw(form, joined), _RIGHT
    for every in (2, 3):
        frames = [*_frames(form), form.end]
        chunks = tuple(
            b"".join(frames[start : start + every]) for start in range(0, len(frames), every)
        )
        yield (
            f"{every} events in a piece",
            RawReply(headers=form.stream_headers, chunks=chunks),
            _RIGHT,
        )
    slow = RawReply(headers=form.stream_headers, chunks=tuple(_frames(form)), chunk_interval_s=0.01)
    yield "a pause after each event", slow, _RIGHT


def _foreign_documents(form: WireForm) -> Iterator[Row]:
    """Among their own, those of something else."""
    joined = form.streamed()
    unknown = [encode({"ping": 1}), encode({"type": "ping"}), b"{}"]
    for data in unknown:
        noise = form.frame(data) if form.name == "ollama" else b"data: " + data + b"\n\n"
        noise = noise if noise.endswith(b"\n") else noise + b"\n"
        yield f"a document {data.decode()} first", _raw(form, noise + joined), _EITHER
    for what, data in {
        "null": b"null",
        "a list": b"[]",
        "a number": b"7",
        "a text": b'"x"',
    }.items():
        noise = data + b"\n" if form.name == "ollama" else b"data: " + data + b"\n\n"
        first, *others = _frames(form)
        reply = _raw(form, first + noise + b"".join(others) + form.end)
        yield f"{what} in the middle", reply, _EITHER
    garbage = b"<html>\n" if form.name == "ollama" else b"data: <html>\n\n"
    first, *others = _frames(form)
    yield "HTML in the middle", _raw(form, first + garbage + b"".join(others) + form.end), _EITHER
    yield "HTML at the end", _raw(form, joined + garbage), _EITHER


def _rearranged(form: WireForm) -> Iterator[Row]:
    """In another number or another order."""
    joined = form.streamed()
    yield (
        "the whole answer twice",
        _raw(form, joined + joined),
        Outcome(texts=frozenset({TEXT, TEXT + TEXT}), bases=frozenset(PAID)) | failed(*BROKEN),
    )
    yield (
        "the events in reverse",
        _raw(form, b"".join(reversed(_frames(form)))),
        Outcome(texts=frozenset({TEXT, "Parisis capital The ", "Paris", ""}), bases=frozenset(PAID))
        | _LOST,
    )
    yield "one document, whole", _raw(form, encode(form.whole())), _EITHER | _LOST
    yield (
        "one document, whole, with a line end",
        _raw(form, encode(form.whole()) + b"\n"),
        _EITHER | _LOST,
    )


def _between_events(form: WireForm) -> Iterator[Row]:
    """With what the standard allows between them, and clients trip over."""
    frames = _frames(form)

    def between(noise: bytes) -> RawReply:
        return _raw(form, noise + noise.join(frames) + noise + form.end)

    for what, noise in {
        "an empty data line": b"data:\n\n",
        "an empty data line and a blank": b"data: \n\n",
        "data without a colon": b"data\n\n",
        "a comment": b": keep-alive\n\n",
        "OpenRouter's comment": b": OPENROUTER PROCESSING\n\n",
        "a comment without a line after it": b": ping\n",
        "an empty comment": b":\n\n",
        "blank lines": b"\n\n\n",
        "a retry line": b"retry: 1000\n\n",
        "an id line": b"id: 7\n\n",
        "an unknown field": b"foo: bar\n\n",
        "a line without a colon": b"foo\n\n",
        "an event line and no data": b"event: ping\n\n",
        "a long comment": b": " + b"x" * 20_000 + b"\n\n",
    }.items():
        yield f"{what} between events", between(noise), _RIGHT
    yield "a comment that is no UTF-8 between events", between(b": \xff\xfe\n\n"), _EITHER


def _rewritten(form: WireForm) -> Iterator[Row]:
    """With other ends of lines, fields and documents."""
    frames, joined = _frames(form), form.streamed()
    for name, old, new in (
        ("CRLF", b"\n", b"\r\n"),
        ("CR alone", b"\n", b"\r"),
        ("no blank after the colon", b"data: ", b"data:"),
        ("an event line before each", b"data:", b"event: message\ndata:"),
        ("an id before each", b"data:", b"id: 1\ndata:"),
    ):
        yield name, _raw(form, joined.replace(old, new)), _RIGHT
    indented = b"".join(frame.replace(b"data:", b"data:  ") for frame in frames)
    yield "two blanks after the colon", _raw(form, indented + form.end), _RIGHT
    mixed = b"".join(
        frame.replace(b"\n", (b"\r\n", b"\n", b"\r")[number % 3])
        for number, frame in enumerate(frames)
    )
    yield "line ends that change", _raw(form, mixed + form.end), _RIGHT
    spread = joined.replace(b',"', b',\ndata: "')
    yield "a document over several data lines", _raw(form, spread), _RIGHT | failed(*BROKEN)
    capitals = joined.replace(b"data:", b"DATA:")
    yield "fields in capitals", _raw(form, capitals), _LOST | _EITHER
    yield "no field names", _raw(form, joined.replace(b"data:", b"")), _LOST | _EITHER
    single = joined.replace(b"\n\n", b"\n")
    yield "no blank line between events", _raw(form, single), _LOST | _EITHER
    yield "no line end after the last", _raw(form, b"".join(frames).rstrip(b"\n")), _EITHER


def _ended(form: WireForm) -> Iterator[Row]:
    """With another end, or with it elsewhere."""
    frames, joined = _frames(form), form.streamed()
    for end, outcome in _END_MARKERS.items():
        yield f"its end is {end!r}", _raw(form, b"".join(frames) + end), outcome
    first, *others = frames
    yield (
        "the end marker in the middle",
        _raw(form, first + b"data: [DONE]\n\n" + b"".join(others)),
        _EITHER,
    )
    yield "the end marker first", _raw(form, b"data: [DONE]\n\n" + joined), _EITHER | _LOST
    yield "the end marker alone", _raw(form, b"data: [DONE]\n\n"), _LOST
    ends_open = replace(
        _raw(form, joined), headers={**form.stream_headers, "Transfer-Encoding": "identity"}
    )
    yield "no length", ends_open, _EITHER


_END_MARKERS: Mapping[bytes, Outcome] = {
    b"": _UNCOUNTED,
    b"data: [DONE]\n\ndata: [DONE]\n\n": _UNCOUNTED,
    b"data:[DONE]\n\n": _UNCOUNTED,
    b"data: [DONE]": _UNCOUNTED,
    b"data: [DONE]\r\n\r\n": _UNCOUNTED,
    b"data:  [DONE] \n\n": _EITHER,
    b"data: [done]\n\n": _EITHER,
    b"event: done\ndata: {}\n\n": _EITHER,
    b"event: done\ndata: [DONE]\n\n": _EITHER,
    b"data: [DONE]\n\ndata: {\n\n": _EITHER,
    b"data: [DONE]\n\n<html>": _EITHER,
    b"data: [DONE]\n\n" + b"\x00" * 100: _EITHER,
    b"data: [DONE]\n\nid: 1\nevent: end\n\n": _UNCOUNTED,
    b"data: [DONE]\n\n: bye\n\n": _UNCOUNTED,
}


def _lines(form: WireForm) -> Iterator[Row]:
    frames = _frames(form)
    joined = b"".join(frames)
    for what, noise in {
        "blank lines": b"\n",
        "many blank lines": b"\n" * 50,
        "CRLF lines": b"\r\n",
    }.items():
        yield f"{what} between lines", _raw(form, noise.join(frames) + noise), _RIGHT
    for what, noise in {"blanks": b"   \n", "a comma": b",\n", "NUL": b"\x00\n"}.items():
        yield f"{what} between lines", _raw(form, noise.join(frames)), _EITHER
    yield "CRLF", _raw(form, joined.replace(b"\n", b"\r\n")), _RIGHT
    yield "CR alone", _raw(form, joined.replace(b"\n", b"\r")), _EITHER
    yield "no line end after the last", _raw(form, joined.rstrip(b"\n")), _RIGHT
    yield "no line ends", _raw(form, joined.replace(b"\n", b"")), _EITHER
    yield (
        "events instead of lines",
        _raw(form, b"".join(b"data: " + f + b"\n" for f in frames)),
        _EITHER,
    )
    yield "a list of documents", _raw(form, b"[" + b",".join(frames) + b"]"), _LOST | _EITHER
    done = form.events()[-1]
    after = [encode({**done, "done": False}), encode(done), b"{}", encode({"error": ""})]
    for number, data in enumerate(after):
        yield f"after the end: {number}, {data[-20:]!r}", _raw(form, joined + data + b"\n"), _EITHER
    yield "done twice", form.stream([*form.events(), done]), _EITHER | _UNCOUNTED
    spread = b"".join(frame.replace(b",", b",\n") for frame in frames)
    yield "a document over several lines", _raw(form, spread), _LOST | _EITHER
