"""Tool calls without names, numbers or arguments, and several that are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aegis_graph.testing.corpus.changes import Document
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
from aegis_graph.testing.corpus.wire_forms import TOOL_ANSWER, WireForm

PARIS = {"city": "Paris"}
_CALL = ("weather", PARIS)
_UNUSABLE = failed(*BROKEN, *EMPTY, bases=PAID)


def _called(*calls: tuple[str, Mapping[str, Any]]) -> Outcome:
    return answered("", calls=calls)


_RIGHT = _called(_CALL)
_EITHER = answered("", bases=PAID, calls=(_CALL,)) | _UNUSABLE
_ANY = answered("", bases=PAID) | _UNUSABLE

BROKEN_ARGUMENTS: Mapping[str, str] = {
    "no JSON": "Paris",
    "half of the JSON": '{"city": "Par',
    "two tables": '{"city": "Paris"}{"city": "Paris"}',
    "many brackets": "[" * 20_000,
}
"""Arguments that are no JSON: the only call of an answer is useless."""

NO_TABLE: Mapping[str, str] = {
    "a list": "[1]",
    "a number": "7",
    "a text": '"Paris"',
    "true": "true",
}
"""Arguments that are JSON, and no table."""

EMPTY_ARGUMENTS: Mapping[str, object] = {"an empty text": "", "null": None, "an empty table": "{}"}

ODD_ARGUMENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "blanks around": (' \n{"city": "Paris"}\n ', PARIS),
    "a key twice": ('{"city": "Ulm", "city": "Paris"}', PARIS),
    "half a character": ('{"city": "\\ud800"}', {"city": "\ud800"}),
    "an unknown key": ('{"city": "Paris", "x": 1}', {**PARIS, "x": 1}),
    "NaN": ('{"city": NaN}', {}),
    "a bracket too many": ('{"city": "Paris"}}', PARIS),
    "an escape that is none": ('{"city": "\\x"}', {}),
}
_DAMAGED = {"half a character", "NaN", "a bracket too many", "an escape that is none"}
"""Some readers mend them, and some refuse them."""


def tool_call_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Answers that call the tool ``weather``, more or less."""
    rows = _native(form) if form.name == "ollama" else [*_shared(form), *_parts(form)]
    for name, forms, outcome in rows:
        yield HostileResponse(f"tools: {name}", form.name, forms, outcome, offers_tools=True)


Row = tuple[str, Forms, Outcome]


def _with(form: WireForm, *calls: Document, names_index: bool = True) -> Forms:
    """An answer with these calls, each in one piece."""
    whole, events = form.whole(TOOL_ANSWER), form.events(TOOL_ANSWER)
    numbered = [
        {"index": number, **call} if names_index else call for number, call in enumerate(calls)
    ]
    message = form.message_of(whole)
    assert message is not None
    message["tool_calls"] = list(calls)
    pieces = [event for event in events if (form.message_of(event) or {}).get("tool_calls")]
    first = pieces[0]
    piece = form.message_of(first)
    assert piece is not None
    piece["tool_calls"] = numbered
    kept = [event for event in events if event is first or event not in pieces]
    return Forms(form.body(whole), form.stream(kept))


def _call(arguments: object = '{"city": "Paris"}', **more: object) -> Document:
    function = {"name": "weather", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **more}


def _shared(form: WireForm) -> Iterator[Row]:
    for what, text in BROKEN_ARGUMENTS.items():
        yield f"the arguments are {what}", _with(form, _call(text)), _UNUSABLE
    for what, text in NO_TABLE.items():
        yield f"the arguments are {what}", _with(form, _call(text)), _UNUSABLE
    for what, value in EMPTY_ARGUMENTS.items():
        empty = _called(("weather", {}))
        if value is None and form.name != "openai":
            empty |= _UNUSABLE
        yield f"the arguments are {what}", _with(form, _call(value)), empty
    for what, (text, value) in ODD_ARGUMENTS.items():
        odd = answered("", calls=(("weather", value),))
        if what in _DAMAGED:
            odd = _ANY
        yield f"the arguments have {what}", _with(form, _call(text)), odd
    for what, given in {"a table": PARIS, "a list": [], "a number": 7}.items():
        outcome = _EITHER if what == "a table" else _ANY
        yield f"the arguments are not text but {what}", _with(form, _call(given)), outcome
    absent = _call()
    del absent["function"]["arguments"]
    yield "no arguments", _with(form, absent), _ANY
    yield from _identity(form)


def _identity(form: WireForm) -> Iterator[Row]:
    values: Mapping[str, object] = {
        "null": None,
        "an empty text": "",
        "a number": 7,
        "5,000": "c" * 5_000,
    }
    for what, value in values.items():
        outcome = _EITHER if what == "a number" else _RIGHT
        yield f"the id is {what}", _with(form, _call(id=value)), outcome
    bare = {key: value for key, value in _call().items() if key != "id"}
    yield "no id", _with(form, bare), _RIGHT
    types: Mapping[str, object] = {
        "null": None,
        "an empty text": "",
        "a word": "tool",
        "a number": 7,
    }
    for what, value in types.items():
        yield f"the type is {what}", _with(form, _call(type=value)), _EITHER
    no_type = {key: value for key, value in _call().items() if key != "type"}
    yield "no type", _with(form, no_type), _RIGHT
    names: Mapping[str, object] = {"null": None, "an empty text": "", "a number": 7, "a list": []}
    for what, name in names.items():
        named = _call(function={"name": name, "arguments": "{}"})
        outcome = _ANY if isinstance(name, int | list) else _UNUSABLE
        yield f"the name is {what}", _with(form, named), outcome
    unknown = _call(function={"name": "launch", "arguments": "{}"})
    yield "a tool that was not offered", _with(form, unknown), _ANY
    functions: Mapping[str, object] = {"null": None, "an empty table": {}, "a text": "weather"}
    for what, function in functions.items():
        yield f"the function is {what}", _with(form, _call(function=function)), _ANY
    yield "no function", _with(form, {"id": "call_1", "type": "function"}), _ANY
    no_calls: Mapping[str, Any] = {"null": None, "a text": "weather", "a number": 7}
    for what, row in no_calls.items():
        yield f"a call is {what}", _with(form, row, names_index=False), _ANY
    twice = _with(form, _call(), _call())
    yield "the same id twice", twice, _called(_CALL, _CALL)
    two = _with(form, _call(), _call(id="call_2"))
    yield "two calls", two, _called(_CALL, _CALL)
    one = _with(form, _call("nonsense"), _call(id="call_2"))
    yield "one of two is broken", one, _EITHER
    crowd = [_call(id=f"call_{number}") for number in range(100)]
    yield "a hundred calls", _with(form, *crowd), _called(*[_CALL] * 100)


def _parts(form: WireForm) -> Iterator[Row]:
    """Pieces of a call, as only a stream has them."""
    base = form.events(TOOL_ANSWER)
    pieces = [event for event in base if (form.message_of(event) or {}).get("tool_calls")]
    last = [event for event in base if event not in pieces]
    role = last[:1] if form.name == "openai" and form.message_of(last[0]) else []
    last = last[len(role) :]

    def streamed(*deltas: Document) -> Forms:
        events = []
        for delta in deltas:
            event = _copied(pieces[0])
            piece = form.message_of(event)
            assert piece is not None
            piece["tool_calls"] = [delta]
            events.append(event)
        return Forms(streamed=form.stream([*role, *events, *last]))

    def part(arguments: str, **more: object) -> Document:
        return {"index": 0, "function": {"arguments": arguments}, **more}

    start = {"index": 0, **_call("")}
    yield "arguments in single characters", streamed(start, *map(part, '{"city": "Paris"}')), _RIGHT
    yield "arguments whole, then nothing", streamed({"index": 0, **_call()}, part("")), _RIGHT
    named = [part('{"city":', id="call_1"), part(' "Paris"}', id="call_1")]
    yield "the id in each piece", streamed(start, *named), _EITHER
    empty = [part('{"city":', id=""), part(' "Paris"}', id=None)]
    yield "an empty id in the later pieces", streamed(start, *empty), _RIGHT
    yield "no index", streamed(*[{k: v for k, v in _call().items() if k != "index"}]), _RIGHT
    yield "the index is null", streamed({**_call(), "index": None}), _RIGHT
    yield "the index is a text", streamed({**_call(), "index": "0"}), _EITHER
    yield "the index begins at 1", streamed({**_call(), "index": 1}), _RIGHT
    yield "the index is -1", streamed({**_call(), "index": -1}), _EITHER
    zero = [{**_call(id=f"call_{number}"), "index": 0} for number in range(2)]
    yield "two calls, both with index 0", streamed(*zero), _called(_CALL, _CALL)
    unnumbered = [_call(id=f"call_{number}") for number in range(2)]
    yield "two calls, both without index", streamed(*unnumbered), _called(_CALL, _CALL)
    yield "arguments before the name", streamed(part('{"city": "Paris"}'), start), _EITHER
    yield "the last piece is missing", streamed(start, part('{"city": "Par')), _UNUSABLE
    yield "a name and nothing else", streamed(start), _called(("weather", {}))


def _copied(event: Document) -> Document:
    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: copy(one) for key, one in value.items()}
        return [copy(one) for one in value] if isinstance(value, list) else value

    copied: Document = copy(event)
    return copied


def _native(form: WireForm) -> Iterator[Row]:
    """Ollama has arguments as a table, and whole calls only."""

    def given(*calls: object) -> Forms:
        whole, events = form.whole(TOOL_ANSWER), form.events(TOOL_ANSWER)
        for document in (whole, *events):
            message = form.message_of(document)
            if message and message.get("tool_calls"):
                message["tool_calls"] = list(calls)
        return Forms(form.body(whole), form.stream(events))

    def call(arguments: object = PARIS, **more: object) -> Document:
        return {"function": {"name": "weather", "arguments": arguments, **more}}

    yield "no id", given(call()), _RIGHT
    yield "two calls without an id", given(call(), call()), _called(_CALL, _CALL)
    yield "the same index twice", given(call(index=0), call(index=0)), _called(_CALL, _CALL)
    for what, identity in {"null": None, "an empty text": "", "a number": 7}.items():
        outcome = _EITHER if what == "a number" else _RIGHT
        yield f"the id is {what}", given({"id": identity, **call()}), outcome
    yield "the arguments are empty", given(call({})), _called(("weather", {}))
    values: Mapping[str, object] = {
        "null": None,
        "a list": [],
        "a number": 7,
        "no JSON": "Paris",
        "an empty text": "",
    }
    for what, value in values.items():
        yield f"the arguments are {what}", given(call(value)), _ANY
    yield "the arguments are JSON as text", given(call('{"city": "Paris"}')), _EITHER
    yield "the arguments are deep", given(call({"city": {"a": [[[[[1]]]]]}})), _ANY
    yield "half a character in the arguments", given(call({"city": "\ud800"})), _ANY
    names: Mapping[str, object] = {"null": None, "an empty text": "", "a number": 7}
    for what, name in names.items():
        yield f"the name is {what}", given({"function": {"name": name, "arguments": {}}}), _ANY
    unknown = {"function": {"name": "launch", "arguments": {}}}
    yield "a tool that was not offered", given(unknown), _ANY
    odd_rows: Mapping[str, object] = {"null": None, "a text": "weather", "an empty table": {}}
    for what, row in odd_rows.items():
        yield f"a call is {what}", given(row), _ANY
    functions: Mapping[str, object] = {"null": None, "an empty table": {}, "a text": "weather"}
    for what, function in functions.items():
        yield f"the function is {what}", given({"function": function}), _ANY
    yield "a hundred calls", given(*[call()] * 100), _called(*[_CALL] * 100)
    text = replace(TOOL_ANSWER, text="Paris")
    yield "a text beside the call", _text_beside(form, text), answered("Paris", calls=(_CALL,))


def _text_beside(form: WireForm, reply: Any) -> Forms:
    return Forms(form.body(form.whole(reply)), form.stream(form.events(reply)))
