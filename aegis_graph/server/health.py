"""``/healthz``: the process answers. ``/readyz``: it could serve a call now."""

from __future__ import annotations

import asyncio
import logging
import time

from langchain_core.messages import HumanMessage
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from aegis_graph.errors import AegisError, LedgerError
from aegis_graph.routing.explain import explain
from aegis_graph.server.services import ServerServices

FRESH_S = 1.0
"""How long what was found counts: anybody may ask, and each finding is a transaction."""

logger = logging.getLogger(__name__)


def health_routes(services: ServerServices) -> list[BaseRoute]:
    """The two routes, which are public and name no provider."""
    readiness = Readiness(services)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> JSONResponse:
        checks = await readiness.checks()
        ready = all(checks.values())
        said = {name: "ok" if good else "failed" for name, good in checks.items()}
        return JSONResponse(
            {"status": "ready" if ready else "not ready", "checks": said},
            status_code=200 if ready else 503,
        )

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


class Readiness:
    """Whether the ledger can be written and a provider may be asked.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services
        self._found = {"ledger": False, "providers": False}
        self._found_at = float("-inf")
        self._lock = asyncio.Lock()

    async def checks(self) -> dict[str, bool]:
        """What works, looked at again after ``FRESH_S``."""
        async with self._lock:
            if time.monotonic() - self._found_at >= FRESH_S:
                writable = await self._ledger_is_writable()
                self._found = {"ledger": writable, "providers": writable and await self._may_ask()}
                self._found_at = time.monotonic()
        return self._found

    async def _ledger_is_writable(self) -> bool:
        try:
            await self._services.ledger.check()
        except LedgerError as error:
            logger.error("not ready: %s", error)
            return False
        return True

    async def _may_ask(self) -> bool:
        asked = {"messages": [HumanMessage("?")], "sensitivity": "internal"}
        router = await self._services.router.current()
        try:
            plan = await explain(router, self._services.ledger, asked)
        except AegisError as error:
            logger.error("not ready: %s", error)
            return False
        # An empty budget is an answer that callers are to get, and not a reason to be left alone.
        return bool(plan.candidates) or any(one["code"] == "budget" for one in plan.skipped)
