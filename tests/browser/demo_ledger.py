"""A ledger to look at: five weeks of a small team's calls, the same each time it is made."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.records import FailedRequest, Hold, RequestFacts
from aegis_graph.ledger.settlements import settlement_without_usage
from aegis_graph.types import SettlementRecord

T = TypeVar("T")

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
WEEKS = 5


def _cloud(name: str, model: str, read_usd: str, written_usd: str) -> dict[str, Any]:
    price = {"input_usd_per_mtok": read_usd, "output_usd_per_mtok": written_usd}
    address = {"location": "cloud", "base_url": "http://127.0.0.1:9/v1"}
    return {"name": name, "kind": "openai", "model": model, "price": price, **address}


ROWS: list[dict[str, Any]] = [
    {
        "name": "ollama",
        "kind": "ollama",
        "model": "qwen3:8b",
        "location": "local",
        "price": "free",
        "max_concurrency": 4,
    },
    _cloud("dashscope", "qwen-plus", "0.4", "1.2"),
    _cloud("openai", "gpt-4.1-mini", "0.4", "1.6"),
]

BUDGETS: list[dict[str, str]] = [
    {"scope": "total", "window": "month", "limit_usd": "60", "alert_at": "0.8"},
    {"scope": "provider:openai", "window": "month", "limit_usd": "30"},
    {"scope": "tag:team=support", "window": "week", "limit_usd": "4"},
    {"scope": "user:*", "window": "day", "limit_usd": "2"},
]

_TASKS = ("answer", "chat", "decompose", "extract", "vision")
_USERS = ("ada", "bob", "carol", "dmitri", "eve")
_TEAMS = ("search", "support", "research")
_ERRORS = (
    "RateLimitError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "ContentRefusedError",
)
_NANO = {"ollama": (0, 0), "dashscope": (400, 1200), "openai": (400, 1600)}
"""Nano-USD of a token, read and written."""


@dataclass
class DemoLedger:
    """The ledger, and the configuration and the clock that it was made with."""

    config: RouterConfig
    ledger: SqlLedger
    now: datetime = NOW

    def clock(self) -> datetime:
        return self.now


def demo_ledger(folder: Path, *, weeks: int = WEEKS, url: str | None = None) -> DemoLedger:
    """Make the ledger in a folder, or in the database of an address."""
    place = {"url": url or f"sqlite:///{folder}/demo.db", "timezone": "Europe/Berlin"}
    config = RouterConfig.model_validate(
        {
            "providers": ROWS,
            "budgets": BUDGETS,
            "ledger": place,
            "routing": {"baseline": "openai"},
            "limits": [{"scope": "user:ada", "requests_per_minute": 60}],
        }
    )
    demo = DemoLedger(config, cast(SqlLedger, None))
    demo.ledger = create_ledger(config, clock=demo.clock)
    run_apart(_fill(demo, weeks))
    return demo


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own: the thread that drives a browser has one that is not for it."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _fill(demo: DemoLedger, weeks: int) -> None:
    random = Random(7)
    hour = NOW.replace(minute=5) - timedelta(weeks=weeks)
    number = 0
    while hour < NOW:
        demo.now = hour
        calls = round(_busy(hour) * random.uniform(0.6, 1.5))
        # In a row: what ends first is decided by nothing but this program.
        for _ in range(calls):
            number += 1
            await _request(demo, random, number)
        hour += timedelta(hours=1)
    await _raised(demo)
    demo.now = NOW
    await _open_holds(demo)


def _busy(hour: datetime) -> float:
    """Calls of an hour: many at work, few at night and on weekends."""
    share = max(0.0, math.sin((hour.hour - 5) / 15 * math.pi))
    return (1.2 if hour.weekday() >= 5 else 5.5) * share


def _facts(random: Random, number: int) -> RequestFacts:
    team = random.choices(_TEAMS, (5, 3, 2))[0]
    return RequestFacts(
        route_id=f"{Random(number).getrandbits(128):032x}",
        task=random.choices(_TASKS, (6, 4, 2, 3, 1))[0],
        sensitivity=random.choices(("internal", "public", "pii"), (6, 3, 1))[0],
        user_id=random.choices(_USERS, (5, 4, 3, 2, 1))[0],
        thread_id=f"thread-{number // 6:05}",
        query_hash=f"{number:064x}",
        run_id=f"run-{number // 12:04}" if number % 3 == 0 else None,
        tags=json.dumps({"env": "live", "team": team}),
    )


async def _request(demo: DemoLedger, random: Random, number: int) -> None:
    facts = _facts(random, number)
    order = (
        ["ollama"]
        if facts.sensitivity == "pii"
        else random.choices(
            (["openai", "dashscope"], ["dashscope", "openai"], ["ollama", "openai"]), (5, 3, 3)
        )[0]
    )
    for attempt, provider in enumerate(order, 1):
        failed = random.random() < 0.06
        await _attempt(demo, random, facts, attempt, provider, failed=failed)
        if not failed:
            return
    reasons = f"{order[-1]}: did not answer in time; no other provider may be asked"
    await demo.ledger.settle(
        [],
        failed_request=FailedRequest(
            request=facts, error_type="AllProvidersFailedError", reasons=reasons
        ),
    )


async def _attempt(
    demo: DemoLedger,
    random: Random,
    facts: RequestFacts,
    attempt: int,
    provider: str,
    *,
    failed: bool,
) -> None:
    model = next(row["model"] for row in ROWS if row["name"] == provider)
    read, written = int(random.lognormvariate(9.6, 0.9)), int(random.lognormvariate(6.6, 0.7))
    cached = int(read * random.choice((0, 0, 0.3, 0.6)))
    writes = int((read - cached) * random.choice((0, 0, 0, 0.4)))
    price = _NANO[provider]
    cost = (read - cached) * price[0] + cached * price[0] // 4 + written * price[1]
    made = await demo.ledger.admit(
        [
            Hold(
                request=facts, attempt=attempt, provider=provider, model=model,
                nano_usd=cost * 2, lease_s=300.0, tokens=read + 2 * written,
                queued_ms=random.choice((None, None, 0, 120)),
                limits=(UnitLimit("provider:ollama", "max_concurrency", 4),)
                if provider == "ollama" else (),
            )
        ]
    )  # fmt: skip
    if made.hold_id is None:
        return
    error = random.choices(_ERRORS, (5, 3, 2, 1))[0] if failed else None
    ended = settlement_without_usage(made.hold_id, "failed" if failed else "answered")
    latency_ms = int(random.lognormvariate(7.2 if provider == "ollama" else 6.6, 0.6))
    usage = {
        "input_tokens": read,
        "output_tokens": written,
        "cached_input_tokens": cached,
        "cache_write_tokens": writes,
        "cost_nano_usd": cost,
        "cost_basis": "reported",
    }
    first_ms = latency_ms // 5 if facts.task == "chat" else None
    more = {
        "latency_ms": latency_ms,
        "first_token_ms": first_ms,
        "error_type": error,
        **({} if failed else usage),
    }
    await demo.ledger.settle([cast(SettlementRecord, {**ended, **more})])


async def _raised(demo: DemoLedger) -> None:
    """Two requests that were allowed more than their user's budget has, on two days."""
    for number, days in enumerate((5, 0)):
        demo.now = NOW - timedelta(days=days, hours=1)
        facts = _facts(Random(number), 95_000 + number)._replace(user_id="eve", task="extract")
        wanted = Hold(
            request=facts,
            attempt=1,
            provider="openai",
            model="gpt-4.1-mini",
            nano_usd=2_400_000_000,
            lease_s=300.0,
        )
        made = await demo.ledger.admit(
            [wanted], approval=Approval(facts.route_id, 1_500_000_000, "ada")
        )
        assert made.hold_id is not None, "it was allowed"
        ended = settlement_without_usage(made.hold_id, "answered", cost_nano_usd=310_000_000)
        ended |= {"input_tokens": 700_000, "output_tokens": 18_750, "cost_basis": "reported"}
        await demo.ledger.settle([ended])


async def _open_holds(demo: DemoLedger) -> None:
    """Three attempts that are under way."""
    for number, provider in enumerate(("openai", "ollama", "dashscope")):
        demo.now = NOW - timedelta(seconds=40 - 11 * number)
        facts = _facts(Random(number), 90_000 + number)
        model = next(row["model"] for row in ROWS if row["name"] == provider)
        await demo.ledger.admit(
            [
                Hold(
                    request=facts,
                    attempt=1,
                    provider=provider,
                    model=model,
                    nano_usd=0 if provider == "ollama" else 21_500_000,
                    lease_s=120.0,
                    tokens=9000,
                )
            ]
        )
    demo.now = NOW
