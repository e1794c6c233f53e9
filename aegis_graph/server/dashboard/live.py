"""Today's figures as they change, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.activity import activity
from aegis_graph.ledger.attempts import held_now
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.row_selection import TOTAL, RowSelection
from aegis_graph.ledger.totals import Sums
from aegis_graph.pricing.money import usd_text
from aegis_graph.server.dashboard.pictures import sum_of
from aegis_graph.server.services import ServerServices

FRESH_S = 2.0
"""How long what was read counts, in seconds: many open pages are one reader."""
LONGEST_S = 600.0
"""After which a stream ends and its page opens the next one: by then its session may be over."""
PING_S = 15.0
"""After which a stream without news says that it is alive."""


class LiveFigures:
    """Reads today's figures for all the pages that are open.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services
        self._found: dict[str, Any] = {}
        self._found_at = float("-inf")
        self._lock = asyncio.Lock()

    async def read(self) -> dict[str, Any]:
        """Today's figures, read again after ``FRESH_S``."""
        async with self._lock:
            if time.monotonic() - self._found_at >= FRESH_S:
                self._found = await self._services.ledger.read(self._today())
                self._found_at = time.monotonic()
        return self._found

    def _today(self) -> Query[dict[str, Any]]:
        calendar, now = calendar_of(self._services.config.ledger), self._services.clock()
        month, today = calendar.days_now("month", now), calendar.days_now("day", now)
        points = yield from activity(TOTAL, "day", RowSelection(days=month))
        holds, held = yield from held_now()
        return figures(
            today=sum_of([point for point in points if point.time == today.first]),
            month=sum_of(points),
            holds=holds,
            held=held,
        ) | {"day": today.first, "waiting": self._services.ledger.queue.waiting()}

    async def stream(self) -> AsyncIterator[str]:
        """Events: all figures at once, and again when one has changed."""
        began = said_at = time.monotonic()
        said: dict[str, Any] | None = None
        yield "retry: 3000\n\n"
        while time.monotonic() - began < LONGEST_S:
            try:
                found = await self.read()
            except LedgerError:
                # The page keeps what it has, and opens the stream again.
                return
            if found != said:
                yield f"event: today\ndata: {json.dumps(found)}\n\n"
                said, said_at = found, time.monotonic()
            elif time.monotonic() - said_at >= PING_S:
                yield ": alive\n\n"
                said_at = time.monotonic()
            await asyncio.sleep(FRESH_S)

    async def answer(self, _: Request) -> Response:
        """The stream as an answer."""
        return StreamingResponse(
            self.stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )


def figures(*, today: Sums, month: Sums, holds: int, held: int) -> dict[str, Any]:
    """The figures that a page shows at its top, by the names that its elements have."""
    return {
        "today_spent": usd_text(today.spent_nano_usd),
        "today_calls": today.calls,
        "today_failures": today.failures,
        "today_tokens": today.tokens,
        "month_spent": usd_text(month.spent_nano_usd),
        "holds": holds,
        "held": usd_text(held),
    }
