"""Choices and messages of a shape that no protocol has, or that only some servers have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aegis_graph.testing.corpus.changes import Change, Document, dropping, setting, updating
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
from aegis_graph.testing.corpus.wire_forms import TEXT, WireForm, literal

_RIGHT = answered(TEXT)
_EITHER = answered(TEXT, bases=PAID) | failed(*BROKEN, *EMPTY, bases=PAID)
_LOST = failed(*BROKEN, *EMPTY, bases=PAID)

SHAPES: Mapping[str, object] = {
    "null": None,
    "an empty list": [],
    "an empty table": {},
    "a list of null": [None],
    "a list of empty tables": [{}],
    "a list of texts": [TEXT],
    "a text": TEXT,
    "a number": 7,
    "true": True,
}
"""What may stand where the choices, a choice or a message is expected."""

NO_TEXTS: Mapping[str, object] = {
    "null": None,
    "an empty text": "",
    "a number": 42,
    "true": True,
    "a table": {"text": TEXT},
    "an empty list": [],
    "a list of null": [None],
    "a list of numbers": [1, 2],
    "a list of empty tables": [{}],
    "a part without a text": [{"type": "text"}],
    "a part with a number": [{"type": "text", "text": 7}],
    "a picture": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
}
"""Contents that are no text."""

PARTS: Mapping[str, object] = {
    "a list of a text": [TEXT],
    "a part": [{"type": "text", "text": TEXT}],
    "thoughts and a part": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": TEXT},
    ],
}
"""Contents in parts, as some servers have them."""


def choice_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Choices and messages in every wrong shape."""
    rows = [*_contents(form), *_messages(form)]
    rows += _openai(form) if form.name == "openai" else []
    rows += _dashscope(form) if form.name == "dashscope" else []
    for name, forms, outcome in rows:
        yield HostileResponse(f"choices: {name}", form.name, forms, outcome)


Row = tuple[str, Forms, Outcome]


def _all(form: WireForm, change: Callable[[Document], Any]) -> Forms:
    """A valid answer whose messages are changed, all of them."""

    def change_message(document: Document) -> None:
        message = form.message_of(document)
        if message is not None:
            change(message)

    return form.changed(change_message)


def _once(form: WireForm, content: object) -> Forms:
    """An answer that has this content, in one piece."""
    whole, events = form.whole(), form.events()
    message = form.message_of(whole)
    assert message is not None
    message["content"] = content
    for number, event in enumerate(events):
        piece = form.message_of(event)
        if piece is not None and "content" in piece:
            piece["content"] = content if number == 1 else ""
    return Forms(form.body(whole), form.stream(events))


def _contents(form: WireForm) -> Iterator[Row]:
    for what, content in NO_TEXTS.items():
        made_text = answered(str(content), bases=PAID) if what == "a number" else None
        outcome = _LOST | made_text if made_text else _LOST
        if what == "a table":
            outcome = _EITHER
        if what == "a picture":
            # Some models answer in pictures.
            outcome |= answered("", bases=PAID)
        yield f"the content is {what}", _once(form, content), outcome
    for what, content in PARTS.items():
        yield f"the content is {what}", _once(form, content), _EITHER
    for what, content in {"a blank": " ", "line ends": "\n\n\n"}.items():
        outcome = answered(content, bases=PAID, tokens=None) | _LOST
        yield f"the content is {what}", _once(form, content), outcome
    long = "word " * 10_000
    yield (
        "the content has 50,000 characters",
        _once(form, long),
        answered(long, bases=PAID, tokens=None)
        | failed("MalformedAnswerError", "UnfitAnswerError", "StreamCutError", bases=PAID),
    )
    yield "no content", _all(form, dropping("content")), _LOST


def _messages(form: WireForm) -> Iterator[Row]:
    for what, role in {
        "null": None,
        "user": "user",
        "tool": "tool",
        "system": "system",
        "a word of next year": "oracle",
        "a number": 7,
        "an empty text": "",
    }.items():
        forms = _all(form, setting("role", role))
        if form.name == "openai" and what in {"null", "an empty text"}:
            # The pieces of a stream are often without one.
            yield f"the role of each piece is {what}", Forms(streamed=forms.streamed), _RIGHT
            forms = Forms(whole=forms.whole)
        yield f"the role is {what}", forms, _EITHER
    whole, streamed = _all(form, dropping("role"))
    yield "no role", Forms(whole=whole), _EITHER
    outcome = _RIGHT if form.name == "openai" else _EITHER
    yield "no role in any piece", Forms(streamed=streamed), outcome
    extras: Mapping[str, Document] = {
        "reasoning": {"reasoning_content": "Hm."},
        "reasoning under another name": {"reasoning": "Hm."},
        "reasoning that is null": {"reasoning_content": None},
        "reasoning that is a number": {"reasoning_content": 7},
        "reasoning that is a list": {"reasoning_content": [{"text": "Hm."}]},
        "thinking": {"thinking": "Hm."},
        "reasoning details": {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        "annotations": {"annotations": []},
        "audio that is null": {"audio": None},
        "no tool calls": {"tool_calls": []},
        "tool calls that are null": {"tool_calls": None},
        "a function call that is null": {"function_call": None},
        "unknown fields": {"padding": "x" * 500, "": 1},
        "its own class": {"lc": 1, "type": "constructor", "id": ["os", "system"]},
    }
    for what, more in extras.items():
        strange = any(word in what for word in ("a number", "a list", "class"))
        forms = _all(form, updating(more))
        yield f"a message with {what}", forms, _EITHER if strange else _RIGHT
    for what, value in {
        "": "",
        "a number": 7,
        "null": None,
        "a list": [],
        "5,000": "m" * 5_000,
    }.items():
        outcome = _RIGHT if value in ("", None) or what == "5,000" else _EITHER
        yield f"the model is {what or 'empty'}", form.changed(setting("model", value)), outcome
    escaped = form.changed(setting("model", "m\x1b[2J\x00\ud800"))
    yield "the model has escapes", escaped, _RIGHT
    for key in ("id", "object", "created", "created_at", "request_id", "total_duration"):
        for what, value in {"null": None, "a list": [], "1e400": literal("1e400")}.items():
            outcome = _RIGHT if value is None else _EITHER
            yield f"{key} is {what}", form.changed(setting(key, value)), outcome
    yield "a field __class__", form.changed(setting("__class__", "str")), _RIGHT
    yield "10,000 unknown fields", form.changed(_crowd), _RIGHT


def _crowd(document: Document) -> None:
    # In the first documents only where there are many: half a megabyte is enough.
    document.update({f"unknown_{number}": number for number in range(2_000)})


def _openai(form: WireForm) -> Iterator[Row]:
    def listed(change: Callable[[list[Any]], object]) -> Change:
        def apply(document: Document) -> None:
            if document["choices"]:
                document["choices"] = change(document["choices"])

        return apply

    def having(key: str, value: object) -> Change:
        return listed(lambda rows: [{**rows[0], key: value}])

    for what, value in SHAPES.items():
        yield f"they are {what}", form.changed(setting("choices", value)), _LOST
        for key in ("message", "delta"):
            changed = form.changed(having(key, value))
            only = changed.whole if key == "message" else changed.streamed
            forms = Forms(only, None) if key == "message" else Forms(None, only)
            outcome = _EITHER if what == "a text" else _LOST
            yield f"the {key} is {what}", forms, outcome
    yield "there are none", form.changed(dropping("choices")), _LOST
    for index in (None, -1, 7, "0", 2**63, 0.5):
        changed = form.changed(having("index", index))
        usual = index is None or index == 7
        yield f"the index is {index!r}", changed, _RIGHT if usual else _EITHER
    no_index = form.changed(listed(lambda rows: [_without(rows[0], "index")]))
    yield "no index", no_index, _RIGHT
    second = form.changed(listed(lambda rows: [*rows, {**rows[0], "index": 1}]))
    yield (
        "two of them",
        second,
        Outcome(texts=frozenset({TEXT}), bases=frozenset(PAID)) | failed(*BROKEN),
    )
    for what, value in {"null": None, "a table": {}, "a list": [], "a number": 7}.items():
        changed = form.changed(having("logprobs", value))
        yield f"the logprobs are {what}", changed, _RIGHT if value in (None, {}) else _EITHER
    refused = _all(form, lambda message: message.update(content=None, refusal="I can't"))
    yield "the message is a refusal", refused, failed("ContentRefusedError", bases=PAID)
    both = _all(form, lambda message: message.update(refusal=""))
    yield "the refusal is empty", both, _RIGHT
    beside = _all(form, lambda message: message.update(refusal="I can't go on"))
    yield "a refusal beside a text", beside, _EITHER
    text = form.changed(listed(lambda rows: [{"index": 0, "text": TEXT, "finish_reason": "stop"}]))
    yield "they are those of the old completions", text, _EITHER
    error = {"code": 502, "message": "Upstream error"}
    told = form.changed(
        listed(lambda rows: [{**rows[0], "error": error, "finish_reason": "error"}])
    )
    outcome = failed(
        "MalformedAnswerError", "ProviderUnavailableError", "StreamCutError", bases=PAID
    )
    yield "a choice has an error", told, outcome
    null_error = form.changed(setting("error", None))
    yield "an error that is null", null_error, _RIGHT


def _dashscope(form: WireForm) -> Iterator[Row]:
    for what, value in SHAPES.items():
        yield f"the output is {what}", form.changed(setting("output", value)), _LOST
        yield f"they are {what}", form.changed(setting(("output", "choices"), value)), _LOST

        def change(document: Document, value: object = value) -> None:
            document["output"]["choices"][0]["message"] = value

        outcome = _EITHER if what == "a text" else _LOST
        yield f"the message is {what}", form.changed(change), outcome
    yield "no output", form.changed(dropping("output")), _LOST
    for what, code in {"an empty text": "", "null": None}.items():
        yield f"the code is {what}", form.changed(setting("code", code)), _RIGHT
    yield "the message of the frame is empty", form.changed(setting("message", "")), _RIGHT
    yield "the status is 200", form.changed(setting("status_code", 200)), _RIGHT
    yield "a text beside the choices", form.changed(setting(("output", "text"), "")), _RIGHT


def _without(row: Document, key: str) -> Document:
    return {name: value for name, value in row.items() if name != key}
