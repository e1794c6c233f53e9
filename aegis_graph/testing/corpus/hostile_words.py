"""Foreign text in every place of a refusal: what it repeats, and what it does to a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis_graph.testing.corpus.changes import Document
from aegis_graph.testing.corpus.errors_inside import UNKNOWN
from aegis_graph.testing.corpus.hostile_response import (
    BROKEN,
    FREE,
    Forms,
    HostileResponse,
    failed,
)
from aegis_graph.testing.corpus.refusals import BAD, DOWN, LIMIT, STATUSES
from aegis_graph.testing.corpus.wire_forms import WireForm, encode
from aegis_graph.testing.loopback.replies import JSON, RawReply

KEY = "sk-hostile-corpus-0123456789abcdef"
"""The key with which the corpus is asked: a response may repeat it, and nothing else may."""
SECRET = "violet otter 4711"
"""Words of the prompt, which no record of a refusal may repeat."""

WORDS: Mapping[str, str] = {
    "5,000 characters": "x" * 5_000,
    "an escape sequence": "\x1b]0;PWNED\x07\x1b[2J",
    "half a character": "\ud800",
    "NUL": "a\x00b",
    "the key": f"Incorrect key {KEY}",
    "the key alone": KEY,
    "the prompt": f"You asked: {SECRET}",
    "the prompt alone": SECRET,
    "line ends": "a\r\nb\u2028c",
    "right to left": "a\u202eb\u2066c",
    "a bell": "\x07\x08\x7f\x9b31m",
    "blanks": " " * 3_000,
    "marks": "<script>alert(1)</script>",
    "a format": "%s%n{0}{self}",
    "SQL": "'); DROP TABLE requests; --",
    "a picture": "\U0001f600" * 200,
    "no character": "\ufffe\uffff",
    "nothing": "",
}


def word_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Refusals and errors inside an answer whose code, type and message are such words."""
    for what, word in WORDS.items():
        for status in (400, 429, 500):
            for place, body in _bodies(form, word).items():
                if place != "everywhere" and status != 400:
                    continue
                reply = RawReply(status=status, headers=JSON, body=encode(body))
                name = f"words: {what}, {place}, {status}"
                outcome = failed(*STATUSES[status], bases=FREE)
                yield HostileResponse(name, form.name, Forms(reply, reply), outcome)
        body = _bodies(form, word)["everywhere"]
        frame = form.frame(body)
        forms = Forms(form.body(body), form.stream([frame]))
        inside = failed(*BROKEN, BAD, bases=UNKNOWN)
        yield HostileResponse(f"words: {what}, inside", form.name, forms, inside)
        header = RawReply(status=429, headers={**JSON, "x-request-id": _header(word)}, body=b"{}")
        outcome = failed(LIMIT, *BROKEN, DOWN, bases=UNKNOWN)
        name = f"words: {what}, in a header"
        yield HostileResponse(name, form.name, Forms(header, header), outcome)


def _header(word: str) -> str:
    return word if "\ud800" not in word else "\udced\udca0\udc80"


def _bodies(form: WireForm, word: str) -> Mapping[str, Document]:
    if form.name == "ollama":
        return {"everywhere": {"error": word}}
    if form.name == "dashscope":
        return {
            "as a code": {"code": word, "message": "m", "request_id": "r"},
            "as a message": {"code": "Scripted", "message": word, "request_id": "r"},
            "everywhere": {"code": word, "message": word, "request_id": word},
        }
    return {
        "as a code": {"error": {"message": "m", "type": "scripted", "code": word}},
        "as a type": {"error": {"message": "m", "type": word, "code": None}},
        "as a message": {"error": {"message": word, "type": "scripted", "code": None}},
        "as a parameter": {"error": {"message": "m", "type": None, "code": None, "param": word}},
        "everywhere": {"error": {"message": word, "type": word, "code": word, "param": word}},
    }
