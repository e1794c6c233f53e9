"""A budget's alert: one log record and one event per window, whoever spends."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_router
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask


async def test_an_alert_is_given_once_per_window_and_again_in_the_next(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    price = {"input_usd_per_mtok": "0", "output_usd_per_mtok": "1000"}
    row = {"name": "cloud", "kind": "openai", "model": "m", "location": "cloud", "price": price}
    budget = {"scope": "total", "window": "month", "limit_usd": "10", "alert_at": "0.5"}
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": f"sqlite:///{db}"},
            "providers": [{**row, "base_url": server.openai_url, "max_output_tokens": 2000}],
            "budgets": [budget],
        }
    )
    server.always("openai", Reply("x", input_tokens=1, output_tokens=2000))
    router: Any = create_router(config, clock=lambda: now)
    events = []

    async def once() -> None:
        async for event in router.astream(ask(), stream_mode="custom"):
            if event["event"] == "budget_alert":
                events.append((event["scope"], event["spent_usd"], event["since"]))

    with caplog.at_level(logging.WARNING, logger="aegis_graph"):
        for _ in range(2):
            await once()
        assert events == []
        await asyncio.gather(once(), once())
        assert events == [("total", "6", "2026-11-01")]
        now += timedelta(days=31)
        for _ in range(3):
            await once()
    assert events == [("total", "6", "2026-11-01"), ("total", "6", "2026-12-01")]
    told = [record.getMessage() for record in caplog.records if "per month" in record.getMessage()]
    assert told == ["budget total per month: $6 of $10 spent"] * 2
