"""Faults and helpers of the suite for provider kinds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from aegis_graph.errors import AegisError, RoutingError
from aegis_graph.testing.loopback.replies import Fault, Reply, Step

KEY_ENV = "PROVIDER_SUITE_KEY"
KEY = "sk-provider-suite-0123456789abcdef"
CAP = 77
"""An output cap that nothing else in a request is equal to."""
WAIT_S = 120.0
"""Generous: how long something may take that has to happen."""
LIMIT_S = 60.0
"""The provider's time limit, in seconds."""

PARIS = Reply("The capital is Paris", input_tokens=50, output_tokens=6)
TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class City(BaseModel):
    """A city."""

    name: str


class RefusalCase(NamedTuple):
    """A fault before the first byte, and the class that it must become."""

    fault: Fault
    error: str
    basis: str = "none"
    """``none`` where the provider did no work, ``held`` where the outcome is unknown."""


REFUSAL_CASES: Mapping[str, RefusalCase] = {
    "400": RefusalCase(Fault.status(400), "BadRequestError"),
    "401": RefusalCase(Fault.status(401), "AuthenticationError"),
    "403": RefusalCase(Fault.status(403), "ModelAccessError"),
    "404": RefusalCase(Fault.status(404), "ModelAccessError"),
    "429": RefusalCase(Fault.status(429), "RateLimitError"),
    "500": RefusalCase(Fault.status(500), "ProviderUnavailableError"),
    "503": RefusalCase(Fault.status(503), "ProviderUnavailableError"),
    # The request has been sent: the provider may have worked, so the reservation stands.
    "drop": RefusalCase(Fault.drop(), "ProviderUnavailableError", "held"),
    "hang": RefusalCase(Fault.hang(), "ProviderTimeoutError", "held"),
}

UNFINISHED: Mapping[str, Fault] = {
    "cut at once": Fault.cut(PARIS, after_chunks=0),
    "cut in the middle": Fault.cut(PARIS, after_chunks=2),
    "ended at once": Fault.end_early(PARIS, after_chunks=0),
    "ended in the middle": Fault.end_early(PARIS, after_chunks=2),
    "malformed": Fault.malformed(1),
}
"""Answers that begin and do not end: the work may be billed."""


class RequestOutcome(NamedTuple):
    """What came of a request."""

    text: str
    attempts: list[dict[str, Any]]
    message: Any = None
    error: str = ""


KEY_ECHOES: Mapping[str, Step] = {
    "answer": PARIS,
    "401": Fault.status(401, message=f"Incorrect API key: {KEY}", error_code=KEY),
    "500": Fault.status(500, message=KEY, error_code=KEY),
    "in the stream": Fault.stream_error(PARIS, 1, error_code=KEY),
    "drop": Fault.drop(),
}
"""What a provider says that repeats the key it was sent."""


async def ask(router: Any, request: Any, *, stream: bool = False) -> RequestOutcome:
    """Ask the router, and keep what came of it."""
    text, last = "", dict[str, Any]()
    try:
        if not stream:
            last = await router.ainvoke(request)
            return RequestOutcome(
                str(last["messages"][-1].text), last["attempts"], last["messages"][-1]
            )
        parts: Any = router.astream(request, stream_mode=["messages", "values"])
        async for mode, part in parts:
            if mode == "messages":
                text += part[0].text
            else:
                last = part
    except RoutingError as error:
        return RequestOutcome(text, error.attempts, None, f"{error!r} {_causes(error)}")
    return RequestOutcome(text, last["attempts"], last["messages"][-1])


def numbers(value: object) -> Iterator[object]:
    """Every number in a JSON document."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


def open_holds(folder: Path) -> int:
    """How many reservations are not settled."""
    # The ledger may be writing.
    with closing(sqlite3.connect(folder / "costs.db", timeout=WAIT_S)) as ledger:
        query = "SELECT count(*) FROM requests WHERE status = 'reserved'"
        return int(ledger.execute(query).fetchone()[0])


def _causes(error: BaseException) -> str:
    # The provider's error stands behind the router's; the key must be in neither.
    found = [error.__cause__, error.__context__]
    return " ".join(repr(one) for one in found if isinstance(one, AegisError))
