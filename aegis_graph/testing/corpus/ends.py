"""Why an answer ends, in every dialect, and answers that do not end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

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
from aegis_graph.testing.corpus.wire_forms import ANSWER, TEXT, WireForm, encode
from aegis_graph.testing.loopback.replies import JSON, Ending, RawReply
from aegis_graph.types import CUT_OFF

COMPLETE = (
    "stop",
    "STOP",
    "Stop",
    "end_turn",
    "stop_sequence",
    "eos",
    "eos_token",
    "COMPLETE",
    "completed",
    "finished",
    "FINISH_REASON_STOP",
    "a reason of next year",
    "stopstop",
    "tool_calls",
    "x" * 5_000,
)
"""Words for an answer that is whole, and words that nobody knows yet."""

CUT = (
    "length",
    "max_tokens",
    "MAX_TOKENS",
    "model_length",
    "lengthlength",
    "LENGTH",
)
"""Words for an answer that its cap cut off."""

FILTERED = (
    "content_filter",
    "content_filtercontent_filter",
    "content_filtered",
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "sensitive",
    "refusal",
    "guardrail_intervened",
)
"""Words for an answer that a filter took back."""

BROKEN_OFF = (
    "error",
    "ERROR",
    "errorerror",
    "abort",
    "MALFORMED_FUNCTION_CALL",
    "network_error",
    "insufficient_system_resource",
    "model_context_window_exceeded",
)
"""Words for an answer that the server gave up."""

_FAILED = (
    "ContextTooLongError",
    "MalformedAnswerError",
    "ProviderUnavailableError",
    "StreamCutError",
    "UnfitAnswerError",
)

NO_WORDS: Mapping[str, object] = {
    "7": 7,
    "a table": {"reason": "stop"},
    "a list": ["stop"],
    "true": True,
}
"""Finish reasons that are no words: the answer is whole, and its protocol is not kept."""

NO_REASON: Mapping[str, object] = {"null": None, "an empty text": ""}


def end_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Finish reasons, and connections that end before the answer does."""
    for name, forms, outcome in (*_reasons(form), *_cuts(form)):
        yield HostileResponse(name, form.name, forms, outcome)


Row = tuple[str, Forms, Outcome]


def _reasons(form: WireForm) -> Iterator[Row]:
    for word in COMPLETE:
        yield f"end: {word[:40]}", form.with_finish(word), answered(TEXT)
    for word in CUT:
        outcome = answered(TEXT, finish_reason=CUT_OFF)
        yield f"end: {word}", form.with_finish(word), outcome
    for word in FILTERED:
        outcome = failed("ContentRefusedError", bases=("reported", "estimated"))
        yield f"end: {word}", form.with_finish(word), outcome
    for word in BROKEN_OFF:
        outcome = failed(*_FAILED, bases=("reported", "estimated"))
        yield f"end: {word}", form.with_finish(word), outcome
    for what, value in NO_WORDS.items():
        # A client may know numbers for words: 7 is a filter of Gemini's.
        either = answered(TEXT, bases=PAID) | failed(*BROKEN, "ContentRefusedError")
        yield f"end: the reason is {what}", form.with_finish(value), either
    for what, value in NO_REASON.items():
        # Ollama says ``done`` as well, and older servers of it say no more than that.
        lenient = answered(TEXT) if form.name == "ollama" else failed(*BROKEN, bases=PAID)
        yield f"end: the reason is {what}", form.with_finish(value), lenient
    empty = replace(ANSWER, text="", chunks=())
    for word in ("stop", "tool_calls", "end_turn", "a reason of next year"):
        outcome = failed(*EMPTY, bases=PAID)
        yield f"end: nothing, and {word}", form.with_finish(word, empty), outcome


def _cuts(form: WireForm) -> Iterator[Row]:
    whole, frames = encode(form.whole()), [form.frame(event) for event in form.events()]
    lost = failed(*BROKEN)
    endings: tuple[Ending, ...] = ("close", "reset")
    for share in (0, 1, 25, 50, 75, 99):
        count = len(whole) * share // 100
        announced = {**JSON, "Content-Length": str(len(whole))}
        for ending in endings:
            reply = RawReply(headers=announced, body=whole[:count], ending=ending)
            yield f"cut: at {share} % of the body, {ending}", Forms(whole=reply), lost
    for kept in range(len(frames)):
        for ending in (*endings, "clean"):
            reply = form.stream(frames[:kept], end=b"", ending=ending)
            if kept == 0:
                reply = RawReply(
                    headers={**form.stream_headers, "Transfer-Encoding": "chunked"},
                    body=b"0\r\n\r\n" if ending == "clean" else b"",
                    ending=ending,
                )
            # The counts and the end marker come after the reason: without them it is whole.
            whole_text = any(form.finish_of(event) for event in form.events()[:kept])
            outcome = answered(TEXT, bases=("estimated", "reported")) if whole_text else lost
            if whole_text and ending != "clean":
                outcome |= lost
            yield f"cut: after {kept} events, {ending}", Forms(streamed=reply), outcome
    for kept in (1, 3):
        half = [*frames[:kept], frames[kept][: len(frames[kept]) // 2]]
        for ending in (*endings, "clean"):
            reply = form.stream(half, end=b"", ending=ending)
            yield f"cut: in event {kept + 1}, {ending}", Forms(streamed=reply), lost
    silent = RawReply(headers={**JSON, "Content-Length": "100"}, body=whole[:50], ending="hang")
    stalled = form.stream(frames[:2], end=b"", ending="hang")
    late = failed("ProviderTimeoutError")
    yield "hang: in the middle of the answer", Forms(silent, stalled), late


def openai_end_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Ends that only OpenAI's wire can have: two last chunks, a reason in an odd place."""
    *pieces, last = form.events()
    finish = pieces[-1]
    refused = failed("ContentRefusedError", bases=PAID)

    def ended(*reasons: object) -> RawReply:
        ends = [
            {**finish, "choices": [{**finish["choices"][0], "finish_reason": reason}]}
            for reason in reasons
        ]
        return form.stream([*pieces[:-1], *ends, last])

    rows: Mapping[str, tuple[RawReply, Outcome]] = {
        "length twice": (ended("length", "length"), answered(TEXT, finish_reason=CUT_OFF)),
        "stop twice": (ended("stop", "stop"), answered(TEXT)),
        "stop three times": (ended("stop", "stop", "stop"), answered(TEXT)),
        "content_filter twice": (ended("content_filter", "content_filter"), refused),
        "length, then null": (ended("length", None), answered(TEXT, finish_reason=CUT_OFF)),
        "null, then stop": (ended(None, "stop"), answered(TEXT)),
        "an empty text, then stop": (ended("", "stop"), answered(TEXT)),
        "stop, then an empty text": (ended("stop", ""), answered(TEXT)),
        "stop, then content_filter": (ended("stop", "content_filter"), refused),
        "error twice": (ended("error", "error"), failed(*_FAILED, bases=PAID)),
    }
    for name, (streamed, outcome) in rows.items():
        yield HostileResponse(f"end: {name}", form.name, Forms(streamed=streamed), outcome)
