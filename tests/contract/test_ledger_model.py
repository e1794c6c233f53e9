"""A ledger against a model of it in plain Python, under any order of what can happen to it."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aegis_graph.ledger.base import Admission, GroupBy, Hold
from tests.contract.ledger_store import NOON, Store, hold, settlement

LEASE_S = 90.0
LIMITS = (
    ("total", "month", 150),
    ("total", "total", 400),
    ("provider:cheap", "day", 60),
    ("provider:dear", "week", 70),
    ("model:m", "week", 120),
    ("task:chat", "month", 140),
    ("user:*", "day", 40),
    ("user:eve", "total", 0),
)
PERIODS: dict[str, Callable[[date], object]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
    "total": lambda day: None,
}
MATCHES = "SELECT scope, sum(spent_nano_usd), sum(held_nano_usd), sum(calls), sum(failures),"
SUMS = f"{MATCHES} sum(input_tokens), sum(output_tokens) FROM totals GROUP BY scope"
ROWS = """
    SELECT {scope}, sum(cost_nano_usd),
        sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END), count(*),
        sum(status IN ('failed', 'cancelled', 'expired')),
        sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0))
    FROM requests GROUP BY 1
"""
SCOPES = ("'total'", "'provider:'||provider", "'model:'||model", "'task:'||task")

amounts = st.integers(0, 60)
wishes = st.lists(
    st.builds(
        lambda usd, provider, user: hold(usd, provider=provider, user=user, lease_s=LEASE_S),
        amounts,
        st.sampled_from(["cheap", "dear"]),
        st.sampled_from(["ada", "bob", "eve"]),
    ),
    min_size=1,
    max_size=3,
)


@dataclass
class Entry:
    """What the model knows of one attempt."""

    hold: Hold
    made: Admission
    at: datetime
    cost: int | None = None
    settled: bool = False

    @property
    def spent_or_held(self) -> tuple[int, int]:
        return (0, self.hold.nano_usd) if self.cost is None else (self.cost, 0)


@dataclass
class Model:
    """The ledger's promises, with sums over lists."""

    now: datetime = NOON
    entries: list[Entry] = field(default_factory=list)

    def used(self, scope: str, window: str) -> tuple[int, int]:
        period = PERIODS[window]
        mine = [
            entry.spent_or_held
            for entry in self.entries
            if scope in entry.hold.scopes() and period(entry.at.date()) == period(self.now.date())
        ]
        return sum(spent for spent, _ in mine), sum(held for _, held in mine)

    def fits(self, one: Hold) -> bool:
        return one.nano_usd == 0 or all(
            sum(self.used(scope, window)) + one.nano_usd <= limit
            for scope, window, limit in self.limits_of(one)
        )

    def limits_of(self, one: Hold) -> list[tuple[str, str, int]]:
        named = [(s.replace("*", one.user_id), w, limit) for s, w, limit in LIMITS]
        return [row for row in named if row[0] in one.scopes()]

    def known(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.made.hold_id is not None]

    def sweep(self) -> int:
        lost = [
            entry
            for entry in self.entries
            if entry.cost is None and entry.at + timedelta(seconds=LEASE_S) < self.now
        ]
        for entry in lost:
            entry.cost = entry.hold.nano_usd
        return len(lost)

    def settle(self, entry: Entry, cost: int) -> None:
        if not entry.settled:
            entry.settled, entry.cost = True, cost


class LedgerMachine(RuleBasedStateMachine):
    """Does the same to both, and compares them after every step."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.store = Store(Path(self.folder.name), "sqlite", now=self.model.now)
        limits = [(scope, window, f"{nano / 10**9:.9f}") for scope, window, nano in LIMITS]
        self.ledger = self.store.open(*limits)

    def teardown(self) -> None:
        self.ledger.close()
        self.runner.close()
        self.folder.cleanup()

    @rule(holds=wishes)
    def admit(self, holds: list[Hold]) -> None:
        made = self.runner.run(self.ledger.admit(holds))
        self.model.sweep()
        fitting = next((n for n, one in enumerate(holds) if self.model.fits(one)), None)
        assert made.index == fitting
        assert len(made.refusals) == (len(holds) if fitting is None else fitting)
        if fitting is not None:
            self.model.entries.append(Entry(holds[fitting], made, self.model.now))

    @rule(holds=wishes)
    def go_away_while_waiting(self, holds: list[Hold]) -> None:
        async def start_and_cancel() -> None:
            waiting = asyncio.ensure_future(self.ledger.admit(holds))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await self.ledger.check()
            await self.ledger.check()

        self.runner.run(start_and_cancel())
        self.model.sweep()
        fitting = next((one for one in holds if self.model.fits(one)), None)
        if fitting is not None:
            gone = Admission(None, None, ())
            self.model.entries.append(Entry(fitting, gone, self.model.now, cost=0, settled=True))

    @precondition(lambda self: self.model.known())
    @rule(data=st.data(), soon=st.booleans())
    def settle(self, data: Any, soon: bool) -> None:
        entry = data.draw(st.sampled_from(self.model.known()))
        cost = data.draw(st.integers(0, entry.hold.nano_usd))
        status = data.draw(st.sampled_from(["answered", "failed", "cancelled"]))
        record = settlement(entry.made, cost, status=status)
        if soon:
            self.ledger.settle_soon(record)
            self.runner.run(self.ledger.check())
        else:
            self.runner.run(self.ledger.settle([record]))
        self.model.settle(entry, cost)

    @rule(seconds=st.sampled_from([0.5, 60, 91, 3600, 43_200, 86_400, 604_800, 2_678_400]))
    def wait(self, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.store.now = self.model.now

    @rule()
    def sweep(self) -> None:
        assert self.runner.run(self.ledger.sweep()) == self.model.sweep()

    @rule()
    def close(self) -> None:
        self.ledger.close()

    @invariant()
    def no_budget_is_ever_exceeded_and_both_agree(self) -> None:
        for row in self.runner.run(self.ledger.budgets()):
            used = row.spent_nano_usd, row.held_nano_usd
            assert used == self.model.used(row.scope, row.window)
            assert sum(used) <= row.limit_nano_usd

    @invariant()
    def totals_are_the_sums_of_the_rows(self) -> None:
        self.runner.run(self.ledger.check())
        with closing(sqlite3.connect(self.store.folder / "costs.db")) as connection:
            summed = {
                row
                for scope in (*SCOPES, "'user:'||user_id")
                for row in connection.execute(ROWS.format(scope=scope))
            }
            assert set(connection.execute(SUMS)) == summed
            assert len(summed) == 0 or len(self.model.entries) == max(row[3] for row in summed)

    @invariant()
    def every_report_adds_up_to_what_was_spent(self) -> None:
        spent = sum(entry.spent_or_held[0] for entry in self.model.entries)
        for by in get_args(GroupBy):
            lines = self.runner.run(
                self.ledger.costs(by, first_day="2026-01-01", end_day="2099-01-01")
            )
            assert sum(line.spent_nano_usd for line in lines) == spent


TestLedgerAgainstItsModel = LedgerMachine.TestCase
TestLedgerAgainstItsModel.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
