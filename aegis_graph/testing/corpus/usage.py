"""Counts of tokens that are wrong, absent, doubled, or in an unusual place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aegis_graph.testing.corpus.changes import Document, dropping, setting, updating
from aegis_graph.testing.corpus.hostile_response import (
    BROKEN,
    PAID,
    Forms,
    HostileResponse,
    Outcome,
    answered,
    failed,
)
from aegis_graph.testing.corpus.wire_forms import TEXT, WireForm, literal

_UNBELIEVABLE: Mapping[str, object] = {
    "null": None,
    "0": 0,
    "-1": -1,
    "5.5": 5.5,
    "a word": "n/a",
    "a number as text": "12",
    "true": True,
    "a list": [50],
    "a table": {"tokens": 50},
    "10**18": 10**18,
    "2**63": 2**63,
    "an empty text": "",
}
"""What is no count, or cannot be one: the answer is right, its cost is estimated."""

_NO_JSON: Mapping[str, str] = {
    "1e400": "1e400",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-0.0": "-0.0",
}
"""Numbers that a strict parser refuses, and that others take for none that is a count."""

_ESTIMATED = answered(TEXT, bases=("estimated",))
_KNOWN = answered(TEXT)
_EITHER = answered(TEXT, bases=("estimated", "reported"))
"""The counts that are needed are right: what else is wrong may cost them their credit, or not."""
_AT_MOST_THE_HOLD = answered(TEXT, bases=PAID, tokens=None)
_NUMBER = _ESTIMATED | failed(*BROKEN)


def usage_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Answers that are right, with counts that are not."""
    for name, forms, outcome in (*_counts(form), *_tables(form), *_details(form)):
        yield HostileResponse(f"usage: {name}", form.name, forms, outcome)


Row = tuple[str, Forms, Outcome]


def _counts(form: WireForm) -> Iterator[Row]:
    names = form.usage_names
    for key in (names.input, names.output):
        for what, value in _UNBELIEVABLE.items():
            yield f"{key} is {what}", form.with_usage(setting(key, value)), _ESTIMATED
        for what, text in _NO_JSON.items():
            yield f"{key} is {what}", form.with_usage(setting(key, literal(text))), _NUMBER
        yield f"{key} is absent", form.with_usage(dropping(key)), _ESTIMATED
        yield f"{key} is 10**9", form.with_usage(setting(key, 10**9)), _AT_MOST_THE_HOLD
        yield f"{key} is a whole float", form.with_usage(setting(key, 50.0)), _AT_MOST_THE_HOLD

    def both(value: object) -> Any:
        def change(usage: Document) -> None:
            usage[names.input] = usage[names.output] = value

        return change

    for what, value in _UNBELIEVABLE.items():
        yield f"both counts are {what}", form.with_usage(both(value)), _ESTIMATED
    yield "both counts are 10**9", form.with_usage(both(10**9)), _AT_MOST_THE_HOLD
    yield (
        "both counts are absent",
        form.with_usage(dropping(names.input, names.output)),
        _ESTIMATED,
    )


def _details(form: WireForm) -> Iterator[Row]:
    names = form.usage_names
    details = [place for place in (names.cached, names.reasoning) if place is not None]
    for place in details:
        for what, value in {**_UNBELIEVABLE, "above its whole": 5_000}.items():
            if value != 0 or isinstance(value, bool):
                forms = form.with_usage(setting(place, value))
                yield f"{'.'.join(place)} is {what}", forms, _EITHER
        for what, value in {"null": None, "a word": "n/a", "a list": [], "a number": 3}.items():
            yield f"{place[0]} is {what}", form.with_usage(setting(place[0], value)), _EITHER
        yield f"{place[0]} is absent", form.with_usage(dropping(place[0])), _KNOWN
    if names.cached is not None:
        yield "40 tokens are from the cache", form.with_usage(setting(names.cached, 40)), _KNOWN
    if names.reasoning is not None:
        forms = form.with_usage(setting(names.reasoning, 4))
        yield "4 tokens are reasoning", forms, _KNOWN


def _tables(form: WireForm) -> Iterator[Row]:
    names = form.usage_names
    if names.total is None:
        return
    for what, value in _UNBELIEVABLE.items():
        if value is not None:
            yield f"{names.total} is {what}", form.with_usage(setting(names.total, value)), _EITHER
    yield f"{names.total} is absent", form.with_usage(dropping(names.total)), _KNOWN
    yield f"{names.total} is null", form.with_usage(setting(names.total, None)), _EITHER
    yield f"{names.total} is too small", form.with_usage(setting(names.total, 7)), _EITHER
    for what, value in {
        "null": None,
        "a list": [],
        "a list of tables": [{names.input: 50, names.output: 6}],
        "a word": "n/a",
        "a number": 56,
        "true": True,
        "an empty table": {},
        "a table of nothing known": {"tokens": {"in": 50}},
    }.items():

        def change(document: Document, value: object = value) -> None:
            if form.usage_of(document) is not None:
                document["usage"] = value

        yield f"the table is {what}", form.changed(change), _ESTIMATED
    yield "the table is absent", form.changed(dropping("usage")), _ESTIMATED


def openai_usage_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Counts where only streams of OpenAI's wire, or servers that copy it, have them."""
    for name, forms, outcome in (*_cumulative(form), *_beside(form)):
        yield HostileResponse(f"usage: {name}", form.name, forms, outcome)


def _usage(prompt: int, completion: int, **more: object) -> Document:
    total = prompt + completion
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**counts, **more}


def _cumulative(form: WireForm) -> Iterator[Row]:
    *pieces, last = form.events()
    finish = pieces[-1]

    def streamed(documents: list[Document]) -> Forms:
        return Forms(streamed=form.stream(documents))

    growing = [{**piece, "usage": _usage(50, number + 1)} for number, piece in enumerate(pieces)]
    yield "grows with every chunk", streamed([*growing, last]), _KNOWN
    yield "grows with every chunk and has no event of its own", streamed(growing), _KNOWN
    same = [{**piece, "usage": _usage(50, 6)} for piece in pieces]
    yield "is the same in every chunk", streamed([*same, last]), _KNOWN
    yield "comes twice", streamed([*pieces, last, last]), _KNOWN
    yield "comes ten times", streamed([*pieces, *[last] * 10]), _KNOWN
    yield (
        "is in the first chunk only",
        streamed([{**pieces[0], "usage": _usage(50, 6)}, *pieces[1:]]),
        _KNOWN,
    )
    yield (
        "is in the last chunk with a choice",
        streamed([*pieces[:-1], {**finish, "usage": _usage(50, 6)}]),
        _KNOWN,
    )
    yield "comes before the finish reason", streamed([*pieces[:-1], last, finish]), _KNOWN
    yield "comes before the text", streamed([last, *pieces]), _KNOWN
    apart = [{**pieces[0], "usage": _usage(50, 0)}, *pieces[1:], {**last, "usage": _usage(0, 6)}]
    yield "gives input first and output last", streamed(apart), _EITHER
    zeros = [{**piece, "usage": _usage(0, 0)} for piece in pieces]
    yield "is zero until the last", streamed([*zeros, last]), _KNOWN
    yield (
        "is right, and zero after it",
        streamed([*pieces, last, {**last, "usage": _usage(0, 0)}]),
        _EITHER,
    )
    odd: Mapping[str, object] = {"null": None, "a choice without anything": [{}], "a table": {}}
    for what, choices in odd.items():
        forms = streamed([*pieces, {**last, "choices": choices}])
        yield f"comes with choices that are {what}", forms, _EITHER | failed(*BROKEN)
    bare = {key: value for key, value in last.items() if key != "choices"}
    yield "comes without choices", streamed([*pieces, bare]), _EITHER | failed(*BROKEN)
    yield (
        "is alone in its event",
        streamed([*pieces, {"usage": _usage(50, 6)}]),
        _EITHER | failed(*BROKEN),
    )
    half = form.stream([*pieces], end=b"data: [DONE]\n\n" + form.frame(last))
    yield "comes after the end marker", Forms(streamed=half), _EITHER


_EITHER_SIZE = answered(TEXT, bases=("estimated", "reported"), tokens=None)


def _beside(form: WireForm) -> Iterator[Row]:
    beside = _usage(32, 9, completion_tokens_details={"reasoning_tokens": 94}) | {
        "total_tokens": 135
    }

    def change(usage: Document) -> None:
        usage.clear()
        usage.update(beside)

    yield (
        "reasoning is beside the completion",
        form.with_usage(change),
        answered(TEXT, tokens=(32, 103)),
    )
    others: Mapping[str, Document] = {
        "Anthropic's names": {"input_tokens": 50, "output_tokens": 6},
        "Gemini's names": {"promptTokenCount": 50, "candidatesTokenCount": 6},
        "names in capitals": {"PROMPT_TOKENS": 50, "COMPLETION_TOKENS": 6},
    }
    for what, usage in others.items():
        yield f"has {what}", form.changed(_replaced(usage)), _EITHER
    extras: Mapping[str, Document] = {
        "an energy in joules": {"energy": 1.5},
        "times": {"queue_time": 0.1, "total_time": 1e-9},
        "a cost": {"cost": 0.00011, "cost_details": {"upstream_inference_cost": None}},
        "a key of 10,000 characters": {"x" * 10_000: 1},
        "audio tokens of a wrong type": {"prompt_tokens_details": {"audio_tokens": "n/a"}},
        "image tokens that are negative": {"prompt_tokens_details": {"image_tokens": -5}},
        "predictions of a wrong type": {
            "completion_tokens_details": {"accepted_prediction_tokens": []}
        },
        "cache writes of a wrong type": {"prompt_tokens_details": {"cache_write_tokens": "zz"}},
    }
    for what, more in extras.items():
        yield f"has {what} as well", form.with_usage(updating(more)), _EITHER
    for what, tier in {"priority": "priority", "no tier": "\u0000", "a list": [], "7": 7}.items():
        forms = form.changed(setting("service_tier", tier))
        yield f"has the service tier {what}", forms, _EITHER_SIZE


def _replaced(usage: Document) -> Any:
    def change(document: Document) -> None:
        if document.get("usage") is not None:
            document["usage"] = usage

    return change
