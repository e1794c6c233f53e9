"""A budget's alert: one log record and one event per window, whoever spends."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import Alert, RouterConfig, create_router
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, assert_sound, flat_price, make_config, open_router, provider


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


def alerting(server: LoopbackServer, db: Path, **sections: Any) -> RouterConfig:
    """A configuration whose second answer reaches the share of its budget."""
    budget = {"scope": "total", "window": "week", "limit_usd": "10", "alert_at": "0.5"}
    server.always("openai", Reply("x", input_tokens=0, output_tokens=1))
    config = make_config(
        server, db, providers=[provider(server, "openai", **flat_price("3"))], **sections
    )
    return RouterConfig.model_validate({**config.model_dump(), "budgets": [budget]})


@pytest.mark.parametrize("sync", [False, True])
async def test_on_alert_is_called_once_per_window(
    server: LoopbackServer, db: Path, sync: bool
) -> None:
    seen: list[Alert] = []

    async def later(alert: Alert) -> None:
        await asyncio.sleep(0)
        seen.append(alert)

    router = open_router(
        alerting(server, db),
        clock=lambda: datetime(2026, 11, 25, tzinfo=UTC),
        on_alert=seen.append if sync else later,
    )
    for _ in range(3):
        await router.ainvoke(ask())
    assert [alert.facts for alert in seen] == [
        {
            "scope": "total",
            "window": "week",
            "spent_usd": "6",
            "limit_usd": "10",
            "since": "2026-11-23",
        }
    ]


def test_what_on_alert_raises_loses_no_paid_answer(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(alert: Alert) -> None:
        raise OSError("smtp://user:secret@mail")

    router = open_router(alerting(server, db), on_alert=fail)
    with caplog.at_level(logging.WARNING, logger="aegis_graph"):
        answers = [router.invoke(ask())["messages"][-1].text for _ in range(3)]
    assert answers == ["x"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "budget total per week: $6 of $10 spent",
        "hook on_alert failed: OSError",
    ]
    assert_sound(db)
