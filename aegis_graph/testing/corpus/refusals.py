"""Statuses that refuse, and the words of each dialect for why."""

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
from aegis_graph.testing.corpus.wire_forms import WireForm, encode
from aegis_graph.testing.loopback.replies import JSON, RawReply
from aegis_graph.types import CostBasis

ACCESS, AUTH, BAD = "ModelAccessError", "AuthenticationError", "BadRequestError"
DOWN, FILTER, LIMIT = "ProviderUnavailableError", "ContentRefusedError", "RateLimitError"
LONG, QUOTA, ODD = "ContextTooLongError", "QuotaError", "MalformedAnswerError"

STATUSES: Mapping[int, tuple[str, ...]] = {
    400: (BAD,),
    401: (AUTH,),
    402: (QUOTA,),
    403: (ACCESS,),
    404: (ACCESS,),
    405: (ACCESS, BAD, DOWN, ODD),
    406: (ACCESS, BAD, DOWN, ODD),
    407: (ACCESS, AUTH, DOWN, ODD),
    408: (DOWN,),
    409: (BAD, DOWN, ODD),
    410: (ACCESS, ODD),
    411: (BAD, ODD),
    412: (BAD, ODD),
    413: (BAD, LONG),
    414: (BAD, LONG, ODD),
    415: (BAD, ODD),
    416: (BAD, ODD),
    417: (BAD, DOWN, ODD),
    418: (BAD, ODD),
    421: (BAD, DOWN, ODD),
    422: (BAD,),
    423: (ACCESS, BAD, DOWN, ODD),
    424: (BAD, DOWN, ODD),
    425: (DOWN, LIMIT, ODD),
    426: (BAD, DOWN, ODD),
    428: (BAD, ODD),
    429: (LIMIT,),
    431: (BAD, LONG, ODD),
    444: (BAD, DOWN, ODD),
    451: (ACCESS, FILTER, ODD),
    498: (AUTH, BAD, DOWN, LIMIT, ODD),
    499: (DOWN, ODD),
    500: (DOWN,),
    501: (ACCESS, BAD, DOWN),
    502: (DOWN,),
    503: (DOWN,),
    504: (DOWN,),
    505: (DOWN,),
    507: (DOWN,),
    508: (DOWN,),
    511: (DOWN, AUTH),
    520: (DOWN,),
    522: (DOWN,),
    524: (DOWN,),
    529: (DOWN, LIMIT),
    530: (DOWN,),
    598: (DOWN,),
    599: (DOWN,),
}
"""The classes that are right for a status whose body says nothing more."""

EMPTY_BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "HTML": b"<html><title>Error</title></html>",
    "null": b"null",
    "a list": b"[]",
    "broken JSON": b'{"error": ',
    "deep JSON": b"[" * 20_000,
    "an error that is null": b'{"error": null}',
    "an error that is a number": b'{"error": 7}',
    "an error that is a list": b'{"error": [{"message": "x"}]}',
    "a code that is a list": b'{"error": {"code": ["a"], "message": {"a": 1}, "type": 7}}',
    "another status": b'{"error": {"code": 200, "message": "OK"}}',
    "no UTF-8": b'{"error": {"message": "\xff\xfe"}}',
}
"""Bodies of a refusal that say nothing: the status alone counts."""


class Refusal(NamedTuple):
    """A refusal in the words of one dialect."""

    status: int
    body: Document
    errors: tuple[str, ...]


def refusal_responses(form: WireForm, refusals: Mapping[str, Refusal]) -> Iterator[HostileResponse]:
    """Refusals by a status, with the bodies of many dialects and with none.

    Args:
        form: The wire.
        refusals: What its dialects say, by a name.
    """
    for status, errors in STATUSES.items():
        for what, data in (("plain", _plain(form, status)), ("nothing", b"")):
            yield _response(form, f"{status}, {what}", status, data, errors)
    for status in (400, 401, 429, 500):
        for what, data in EMPTY_BODIES.items():
            yield _response(form, f"{status} with {what}", status, data, STATUSES[status])
    for name, refusal in refusals.items():
        data = encode(refusal.body)
        yield _response(form, f"{refusal.status} {name}", refusal.status, data, refusal.errors)
    for status in (0, 99, 199, 600, 799, 999):
        # Whether a status that is none costs anything, no protocol says.
        yield _response(form, f"{status}", status, b"{}", (*BROKEN, BAD), bases=(*PAID, *FREE))


def _plain(form: WireForm, status: int) -> bytes:
    # In words that no table of phrases can take for another refusal.
    message = f"Scripted refusal with status {status}"
    if form.name == "ollama":
        return encode({"error": message})
    if form.name == "dashscope":
        return encode({"code": "Scripted", "message": message, "request_id": "r"})
    return encode({"error": {"message": message, "type": "scripted", "param": None, "code": None}})


def _response(
    form: WireForm,
    name: str,
    status: int,
    data: bytes,
    errors: tuple[str, ...],
    *,
    bases: tuple[CostBasis, ...] = FREE,
) -> HostileResponse:
    reply = RawReply(status=status, headers=JSON, body=data)
    outcome = failed(*errors, bases=bases)
    return HostileResponse(f"refused: {name}", form.name, Forms(reply, reply), outcome)
