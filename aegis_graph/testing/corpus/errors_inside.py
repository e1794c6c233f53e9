"""Errors in an answer of status 200: in place of it, before its first word, and after some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aegis_graph.testing.corpus.changes import Document
from aegis_graph.testing.corpus.hostile_response import (
    BROKEN,
    FREE,
    PAID,
    Forms,
    HostileResponse,
    failed,
)
from aegis_graph.testing.corpus.refusals import (
    ACCESS,
    AUTH,
    BAD,
    DOWN,
    FILTER,
    LIMIT,
    LONG,
    QUOTA,
)
from aegis_graph.testing.corpus.wire_forms import WireForm, encode
from aegis_graph.types import CostBasis


class Inside(NamedTuple):
    """An error object, and what it means."""

    body: Document
    errors: tuple[str, ...]
    bases: tuple[CostBasis, ...] = FREE
    """How its cost may be known where it comes before any text."""


UNKNOWN: tuple[CostBasis, ...] = (*FREE, *PAID)
"""An error of the server: it may have worked before, and may bill it."""
CUT = BROKEN


def _openai(code: object, message: str = "It failed", kind: object = None) -> Document:
    return {"error": {"message": message, "type": kind, "code": code}}


OPENAI: Mapping[str, Inside] = {
    "429 as a number": Inside(_openai(429, "Rate limit"), (LIMIT,)),
    "429 as a text": Inside(_openai("429", "Rate limit"), (LIMIT,)),
    "rate_limit_exceeded": Inside(_openai("rate_limit_exceeded"), (LIMIT,)),
    "insufficient_quota": Inside(_openai("insufficient_quota"), (QUOTA,)),
    "402": Inside(_openai(402, "Insufficient credits"), (QUOTA,)),
    "401": Inside(_openai(401, "No auth credentials found"), (AUTH,)),
    "invalid_api_key": Inside(_openai("invalid_api_key"), (AUTH,)),
    "403": Inside(_openai(403, "Forbidden"), (ACCESS,)),
    "404": Inside(_openai(404, "No such model"), (ACCESS,)),
    "model_not_found": Inside(_openai("model_not_found"), (ACCESS,)),
    "400": Inside(_openai(400, "It is wrong"), (BAD,)),
    "context_length_exceeded": Inside(_openai("context_length_exceeded"), (LONG,)),
    "a context of llama.cpp": Inside(
        _openai(400, "too long", "exceed_context_size_error"), (LONG,)
    ),
    "content_filter": Inside(_openai("content_filter"), (FILTER,), UNKNOWN),
    "500": Inside(_openai(500), CUT, UNKNOWN),
    "502": Inside(_openai(502, "Provider returned error"), CUT, UNKNOWN),
    "503": Inside(_openai(503, "overloaded"), (DOWN, *CUT), UNKNOWN),
    "529": Inside(_openai(529, "Overloaded", "overloaded_error"), (DOWN, LIMIT), UNKNOWN),
    "server_error": Inside(_openai("server_error", kind="server_error"), CUT, UNKNOWN),
    "no code": Inside(_openai(None), CUT, UNKNOWN),
    "an unknown code": Inside(_openai("sunspots"), CUT, UNKNOWN),
    "a text": Inside({"error": "It failed"}, CUT, UNKNOWN),
    "a number": Inside({"error": 7}, CUT, UNKNOWN),
    "true": Inside({"error": True}, CUT, UNKNOWN),
    "a list": Inside({"error": [{"message": "It failed"}]}, CUT, UNKNOWN),
    "a code that is a list": Inside(_openai(["429"]), CUT, UNKNOWN),
    "a message that is a table": Inside({"error": {"message": {"a": 1}}}, CUT, UNKNOWN),
    "a code of 200": Inside(_openai(200), CUT, UNKNOWN),
    "a code of 10**30": Inside(_openai(10**30), CUT, UNKNOWN),
    "Anthropic's limit": Inside(
        {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, (LIMIT,)
    ),
    "Anthropic's overload": Inside(
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        (DOWN, LIMIT),
        UNKNOWN,
    ),
    "Gemini's limit": Inside(
        {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}, (LIMIT, QUOTA)
    ),
    "vLLM's": Inside(
        {"object": "error", "message": "x", "type": "BadRequestError", "code": 400},
        (BAD, *CUT),
        UNKNOWN,
    ),
}

OLLAMA: Mapping[str, Inside] = {
    "a message": Inside(
        {"error": "an error was encountered while running the model"}, CUT, UNKNOWN
    ),
    "a runner": Inside({"error": "llama runner process no longer running: -1"}, CUT, UNKNOWN),
    "an empty text": Inside({"error": ""}, CUT, UNKNOWN),
    "a table": Inside({"error": {"message": "It failed"}}, CUT, UNKNOWN),
    "a number": Inside({"error": 7}, CUT, UNKNOWN),
    "a status": Inside({"error": "limit", "status_code": 429}, (LIMIT, *CUT), UNKNOWN),
    "a deep table": Inside({"error": {"a": {"a": {"a": {}}}}}, CUT, UNKNOWN),
    "no model": Inside({"error": "model 'm' not found"}, (ACCESS, *CUT), UNKNOWN),
}


def _native(code: object, message: object = "It failed") -> Document:
    return {"code": code, "message": message, "request_id": "r"}


DASHSCOPE: Mapping[str, Inside] = {
    "Throttling": Inside(_native("Throttling.RateQuota"), (LIMIT,)),
    "Throttling alone": Inside(_native("Throttling"), (LIMIT,)),
    "InvalidApiKey": Inside(_native("InvalidApiKey"), (AUTH,)),
    "Arrearage": Inside(_native("Arrearage"), (QUOTA,)),
    "AccessDenied": Inside(_native("AccessDenied"), (ACCESS,)),
    "ModelNotFound": Inside(_native("ModelNotFound"), (ACCESS,)),
    "InvalidParameter": Inside(_native("InvalidParameter"), (BAD,)),
    "a length": Inside(
        _native("InvalidParameter", "Range of input length should be [1, 30720]"), (LONG,)
    ),
    "DataInspectionFailed": Inside(_native("DataInspectionFailed"), (FILTER,), UNKNOWN),
    "InternalError": Inside(_native("InternalError"), CUT, UNKNOWN),
    "InternalError.Algo": Inside(_native("InternalError.Algo"), CUT, UNKNOWN),
    "ModelUnavailable": Inside(_native("ModelUnavailable"), CUT, UNKNOWN),
    "an unknown code": Inside(_native("Sunspots"), CUT, UNKNOWN),
    "a number": Inside(_native(429), (LIMIT, *CUT), UNKNOWN),
    "a list": Inside(_native(["Throttling"]), CUT, UNKNOWN),
    "a message that is a table": Inside(_native("InternalError", {"a": 1}), CUT, UNKNOWN),
    "no code": Inside({"message": "It failed", "request_id": "r"}, CUT, UNKNOWN),
}

ERRORS = {"openai": OPENAI, "ollama": OLLAMA, "dashscope": DASHSCOPE}


def inside_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Errors inside status 200, each at three places."""
    events = form.events()
    for name, (body, errors, bases) in ERRORS[form.name].items():
        frame = _frame(form, body)
        first = Forms(form.body(body), form.stream([frame]))
        yield HostileResponse(f"inside: {name}", form.name, first, failed(*errors, bases=bases))
        later = Forms(streamed=form.stream([*events[:2], frame], end=b""))
        # The text before it has been produced.
        outcome = failed(*errors, *CUT, *((BAD,) if LONG in errors else ()), bases=PAID)
        yield HostileResponse(f"inside: {name}, after words", form.name, later, outcome)
    if form.name == "openai":
        yield from _beside(form)


def _beside(form: WireForm) -> Iterator[HostileResponse]:
    whole = form.whole()
    for name, code in {"429": 429, "502": 502}.items():
        error = _openai(code, "Upstream error")["error"]
        told = {**whole, "choices": [], "error": error}
        outcome = failed(LIMIT if code == 429 else DOWN, *CUT, bases=UNKNOWN)
        forms = Forms(whole=form.body(told))
        yield HostileResponse(f"inside: {name} beside empty choices", form.name, forms, outcome)
    event = form.frame(_openai("rate_limit_exceeded"))
    named = Forms(streamed=form.stream([b"event: error\n" + event]))
    limited = failed(LIMIT, *CUT, bases=UNKNOWN)
    yield HostileResponse("inside: an event called error", form.name, named, limited)
    bare = Forms(streamed=form.stream([], end=encode(_openai(429)) + b"\n"))
    yield HostileResponse("inside: a line that is no event", form.name, bare, limited)


def _frame(form: WireForm, body: Document) -> bytes:
    if form.name != "dashscope":
        return form.frame(body)
    return b"id:1\nevent:error\n:HTTP_STATUS/400\ndata:" + encode(body) + b"\n\n"
