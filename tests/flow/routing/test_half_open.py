"""After a cooldown one request finds out whether a provider is well again; the others wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import RouterConfig, create_router
from aegis_graph.errors import NoProviderError, RoutingError
from aegis_graph.testing import Fault, LoopbackServer

ASKED: Any = {"messages": [HumanMessage("hi")]}


async def test_of_twenty_requests_at_the_end_of_a_cooldown_one_asks(
    server: LoopbackServer, db: Path
) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    row = {"name": "llm", "kind": "openai", "model": "m", "location": "local", "price": "free"}
    chain = [{**row, "base_url": server.openai_url, "max_retries": 0}]
    config = {"ledger": {"url": f"sqlite:///{db}"}, "budgets": [], "providers": chain}
    router: Any = create_router(RouterConfig.model_validate(config), environ={}, clock=lambda: now)
    server.always("openai", Fault.status(503))
    for _ in range(3):
        with pytest.raises(RoutingError):
            await router.ainvoke(ASKED)
    with pytest.raises(NoProviderError):
        await router.ainvoke(ASKED)
    assert len(server.calls()) == 3
    now += timedelta(seconds=31)
    asking = (router.ainvoke(ASKED) for _ in range(20))
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(outcome, RoutingError) for outcome in outcomes)
    assert len(server.calls()) == 3 + 1
