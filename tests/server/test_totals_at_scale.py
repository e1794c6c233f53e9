"""What metrics, pages and reports say of many attempts is what was made, to the nano-dollar."""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from starlette.applications import Starlette

from aegis_graph.ledger.maintenance import prune, verify
from aegis_graph.ledger.records import Admission, Hold
from aegis_graph.pricing.money import usd_text
from aegis_graph.server import create_app
from aegis_graph.types import SettlementRecord
from tests.contract.ledger_store import Store, hold, settlement
from tests.server.apps import client_of, services
from tests.server.test_dashboard import config_of

# All of them take many minutes on each store.
ROWS = 1_000_000 if os.environ.get("AEGIS_TEST_ROWS") == "all" else 3_000
STEPS = 500 if ROWS > 3_000 else 30
"""Into how many transactions' worth of callers at once they fall, over thirty days."""
PROVIDERS, TEAMS = ("cheap", "dear", "third"), ("search", "ads")
ERRORS = ("RateLimitError", "ProviderTimeoutError", None)


class Made:
    """What was made, counted beside the ledger."""

    def __init__(self) -> None:
        self.random = Random(20)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.spent: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()

    def holds(self, number: int) -> Iterator[Hold]:
        """So many at one time; one in 997 is never settled, and expires."""
        for _ in range(number):
            random = self.random
            yield hold(
                random.randrange(1, 10**10),
                provider=random.choice(PROVIDERS),
                user=f"user-{random.randrange(40)}",
                task=random.choice(("chat", "answer", "extract")),
                tags=f'{{"team": "{random.choice(TEAMS)}"}}',
                lease_s=1.0 if random.randrange(997) == 0 else 80_000.0,
            )

    def names(self, wanted: Hold) -> list[tuple[str, str]]:
        """What it counts in."""
        team = str(wanted.request.tags)[10:-2]
        request = wanted.request
        return [
            ("provider", wanted.provider),
            ("user", request.user_id),
            ("task", request.task),
            ("tag:team", team),
        ]

    def settled(self, wanted: Hold, admission: Admission) -> SettlementRecord | None:
        """How it ended; ``None`` where nothing ever says so."""
        random, lost = self.random, wanted.lease_s == 1.0
        failed, cost = random.random() < 0.1, random.randrange(wanted.nano_usd + 1)
        error = random.choice(ERRORS) if failed else None
        status = ("failed" if error else "cancelled") if failed else "answered"
        reason = "expired" if lost else error or status
        tokens = {"input_tokens": random.randrange(9999), "output_tokens": random.randrange(999)}
        for name in self.names(wanted):
            self.calls[name] += 1
            self.spent[name] += wanted.nano_usd if lost else cost
            self.failed[name] += failed or lost
            if not lost:
                self.tokens[name] += sum(tokens.values())
        if failed or lost:
            self.reasons[wanted.provider, reason] += 1
        if lost:
            return None
        return settlement(admission, cost, status=status, error_type=error, **tokens)


async def fill(app: Starlette, store: Store) -> Made:
    """Make the attempts as many callers at once do: each settles one, and reserves the next."""
    made, ledger = Made(), services(app).ledger
    ended: list[SettlementRecord | None] = [None] * (ROWS // STEPS)
    for _ in range(STEPS):
        store.now += timedelta(days=30) / STEPS
        holds = [*made.holds(ROWS // STEPS)]
        admitted = await asyncio.gather(
            *(
                ledger.admit([one], settle=[last] if last else [])
                for one, last in zip(holds, ended, strict=True)
            )
        )
        ended = [
            made.settled(one, admission) for one, admission in zip(holds, admitted, strict=True)
        ]
    store.now += timedelta(days=1)
    await ledger.settle([one for one in ended if one])
    await ledger.sweep()
    return made


@pytest.fixture
async def app(store: Store) -> AsyncIterator[Starlette]:
    made = create_app(config_of(store.url), clock=lambda: store.now, environ={})
    yield made
    services(made).ledger.close()


async def get(app: Starlette, path: str) -> str:
    async with client_of(app) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def check_metrics(app: Starlette, made: Made) -> None:
    lines = [one for one in (await get(app, "/metrics")).splitlines() if one[0] != "#"]
    found = dict(line.rsplit(" ", 1) for line in lines)
    for name in PROVIDERS:
        of, label = ("provider", name), f'{{provider="{name}"}}'
        assert found[f"aegis_provider_attempts_total{label}"] == str(made.calls[of])
        assert found[f"aegis_provider_failures_total{label}"] == str(made.failed[of])
        assert found[f"aegis_provider_cost_usd_total{label}"] == usd_text(made.spent[of])
        kinds = [int(found[f"aegis_provider_tokens_total{label[:-1]},{kind}}}"]) for kind in KINDS]
        assert sum(kinds) == made.tokens[of]
    reasons = {
        f'aegis_provider_failures_by_reason_total{{provider="{name}",reason="{reason}"}}': str(n)
        for (name, reason), n in made.reasons.items()
    }
    assert {key: value for key, value in found.items() if "by_reason" in key} == reasons
    assert found["aegis_open_holds"] == "0"


KINDS = [f'kind="{one}"' for one in ("fresh_input", "cache_read", "cache_write", "output")]


async def test_every_figure_is_what_was_made(app: Starlette, store: Store) -> None:
    made = await fill(app, store)
    await check_metrics(app, made)
    ledger = services(app).ledger
    for by in ("provider", "user", "task", "tag:team"):
        path = f"/overview.csv?by={by}&period=all"
        table = [*csv.DictReader(io.StringIO(await get(app, path)))]
        expected = {name: n for (kind, name), n in made.spent.items() if kind == by}
        assert {row[by]: row["cost USD"] for row in table} == {
            name: usd_text(nano_usd) for name, nano_usd in expected.items()
        }
        rows = await ledger.report(by, first_day="0000-00-00", end_day="9999-99-99")
        assert {row.name: row.spent_nano_usd for row in rows} == expected
    # The rows themselves are read where a view has two filters.
    for name in PROVIDERS:
        path = f"/overview.csv?by=provider&period=all&provider={name}&sensitivity=public"
        (row,) = csv.DictReader(io.StringIO(await get(app, path)))
        assert row["cost USD"] == usd_text(made.spent["provider", name])
    failures = [*csv.reader(io.StringIO(await get(app, "/failures.csv?period=all")))]
    by_reason: Counter[str] = Counter()
    for (_, reason), number in made.reasons.items():
        by_reason[reason] += number
    assert {row[1]: int(row[2]) for row in failures[1:]} == by_reason
    assert await verify(ledger) == []
    gone = await prune(ledger, (store.now - timedelta(days=15)).date(), zone=ZoneInfo("UTC"))
    assert gone.rows > ROWS // 3
    await check_metrics(app, made)
