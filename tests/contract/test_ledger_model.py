"""A ledger against a model of it in plain Python, under any order of what can happen to it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.records import Admission, Hold
from aegis_graph.ledger.scopes import tags_text
from aegis_graph.types import GroupBy, Window
from tests.contract.ledger_store import NOON, USD, empty_store, hold, settlement

LEASE_S = 90.0
USERS = ("ada", "bob", "eve")
TEAMS = ("ads", "search", "a=b: ü")
TAGS = (None, *(tags_text({"team": team, "env": "live"}) for team in TEAMS), '{"env": "test"}')
EACH = {
    "user:*": {f"user:{user}" for user in USERS},
    "tag:team=*": {f"tag:team={team}" for team in TEAMS},
}
"""The scopes of which a limit is for each one alone."""
EVERYONE = set().union(*EACH.values())
LIMITS = (
    ("total", "month", 150),
    ("total", "total", 400),
    ("provider:cheap", "day", 60),
    ("provider:dear", "week", 70),
    ("model:m", "week", 120),
    ("task:chat", "month", 140),
    ("user:*", "day", 40),
    ("user:eve", "total", 0),
    ("tag:team=*", "day", 50),
    ("tag:team=search", "month", 90),
    ("tag:env=live", "week", 110),
)
PERIODS: dict[str, Callable[[date], object]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
    "total": lambda day: None,
}
SETTABLE = (*((scope, window) for scope, window, _ in LIMITS), ("model:m", "day"))
RUNS = ((None, None), (None, None), ("r1", None), ("r1", 50), ("r1", 90), ("r2", 30), ("r2", 0))
"""What a request may say of its run: nothing, its name, and also what the run may cost."""
EXAMPLES = {"sqlite": 40, "postgres": 10}
"""How many histories of 25 steps each; a step is dearer where a server is asked."""

SUMS = """
    SELECT scope, sum(spent_nano_usd) AS spent, sum(held_nano_usd) AS held, sum(calls) AS calls,
        sum(failures) AS failures, sum(input_tokens) AS sent, sum(output_tokens) AS received
    FROM totals GROUP BY scope
"""
ROWS = " UNION ALL ".join(
    f"""
    SELECT {scope} AS scope, sum(cost_nano_usd) AS spent,
        sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END) AS held, count(*) AS calls,
        sum(CASE WHEN status IN ('failed', 'cancelled', 'expired') THEN 1 ELSE 0 END) AS failures,
        sum(coalesce(input_tokens, 0)) AS sent, sum(coalesce(output_tokens, 0)) AS received
    FROM requests {"JOIN request_tags ON request_id = id" if "value" in scope else ""}
    WHERE {scope} IS NOT NULL GROUP BY 1
    """
    for scope in (
        "'total'", "'provider:'||provider", "'model:'||model", "'task:'||task", "'user:'||user_id",
        "'run:'||run_id", "'tag:'||key||'='||value",
    )
)  # fmt: skip

UNITS = (
    UnitLimit("provider:cheap", "max_concurrency", 3),
    UnitLimit("user:*", "max_concurrency", 2),
    UnitLimit("user:*", "requests_per_minute", 4),
    UnitLimit("total", "tokens_per_minute", 90),
    UnitLimit("tag:team=*", "requests_per_day", 5),
    UnitLimit("provider:dear", "tokens_per_day", 120),
)
"""Limits in other units; a program has all of them or none."""

amounts = st.integers(0, 60)
wishes = st.lists(
    st.builds(
        lambda usd, provider, user, run, tags, limits, tokens, waits: hold(
            usd,
            provider=provider,
            user=user,
            lease_s=LEASE_S,
            run_id=run[0],
            run_limit_nano_usd=run[1],
            tags=tags,
            limits=limits,
            tokens=tokens,
            waits=waits,
        ),
        amounts,
        st.sampled_from(["cheap", "dear"]),
        st.sampled_from(USERS),
        st.sampled_from(RUNS),
        st.sampled_from(TAGS),
        st.sampled_from([UNITS, ()]),
        st.integers(0, 40),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)

answers = st.none() | st.builds(
    Approval, st.sampled_from(["q1", "q2", "q3", "q4"]), st.integers(1, 60), st.just("ada")
)
"""More money for a request; a question may be answered again."""


@dataclass
class Entry:
    """What the model knows of one attempt."""

    hold: Hold
    made: Admission
    at: datetime
    cost: int | None = None
    settled: bool = False
    used: bool = True
    """Whether a call was made, as far as is known."""
    tokens: int | None = None
    """What was reported."""

    @property
    def spent_or_held(self) -> tuple[int, int]:
        return (0, self.hold.nano_usd) if self.cost is None else (self.cost, 0)


@dataclass
class Model:
    """The ledger's promises, with sums over lists."""

    now: datetime = NOON
    entries: list[Entry] = field(default_factory=list)
    limits: dict[tuple[str, str], int] = field(
        default_factory=lambda: {(scope, window): limit for scope, window, limit in LIMITS}
    )

    answered: set[str] = field(default_factory=set)
    """The questions that have raised something."""
    raised: Counter[tuple[str, str, str, object]] = field(default_factory=Counter)
    """By limit, scope, window and which one of them."""

    def used(self, scope: str, window: str) -> tuple[int, int]:
        period = PERIODS[window]
        mine = [
            entry.spent_or_held
            for entry in self.entries
            if scope in entry.hold.scopes() and period(entry.at.date()) == period(self.now.date())
        ]
        return sum(spent for spent, _ in mine), sum(held for _, held in mine)

    def decide(self, holds: list[Hold], approval: Approval | None = None) -> tuple[int | None, int]:
        """Which hold is made, and how many are refused."""
        if approval is not None and approval.question_id in self.answered:
            approval = None
        dear = []
        for number, one in enumerate(holds):
            if approval is not None and 0 < self.lacking(one) <= approval.nano_usd:
                self.raise_for(one, approval)
                approval = None
            affordable = self.lacking(one) <= 0
            dear += [] if affordable else [one]
            if affordable and self.has_room(one):
                return number, number
            if affordable and one.waits:
                break
        if approval is not None and dear:
            self.raise_for(dear[0], approval)
        return None, number + 1

    def raise_for(self, one: Hold, approval: Approval) -> None:
        self.answered.add(approval.question_id)
        for name, scope, window, limit in self.limits_of(one):
            if sum(self.used(scope, window)) + one.nano_usd > limit:
                self.raised[self.place(name, scope, window)] += approval.nano_usd

    def place(self, name: str, scope: str, window: str) -> tuple[str, str, str, object]:
        return name, scope, window, PERIODS[window](self.now.date())

    def has_room(self, one: Hold) -> bool:
        return all(
            self.in_use(scope, limit.unit) + (one.tokens if "tokens" in limit.unit else 1)
            <= limit.most
            for limit in one.limits
            for scope in EACH.get(limit.scope, {limit.scope})
            if scope in one.scopes()
        )

    def in_use(self, scope: str, unit: str) -> int:
        mine = [entry for entry in self.entries if scope in entry.hold.scopes()]
        if unit == "max_concurrency":
            return sum(entry.cost is None for entry in mine)
        if unit.endswith("minute"):
            oldest = (self.now - timedelta(seconds=61)).replace(microsecond=0)
            mine = [
                entry
                for entry in mine
                if entry.hold.limits and entry.at.replace(microsecond=0) > oldest
            ]
        else:
            mine = [entry for entry in mine if entry.at.date() == self.now.date()]
        if unit.startswith("requests"):
            return sum(entry.used or not entry.hold.limits for entry in mine)
        return sum(self.tokens_of(entry) for entry in mine)

    def tokens_of(self, entry: Entry) -> int:
        if not entry.used:
            return 0
        # Of a program without limits no upper bound is known.
        most = entry.hold.tokens if entry.hold.limits else 0
        return most if entry.tokens is None else entry.tokens

    def lacking(self, one: Hold) -> int:
        """What the hold lacks in the budget that has the least room for it."""
        lacks = [
            sum(self.used(scope, window)) + one.nano_usd - limit
            for _, scope, window, limit in self.limits_of(one)
        ]
        return max(lacks, default=0) if one.nano_usd else 0

    def limits_of(self, one: Hold) -> list[tuple[str, str, str, int]]:
        named = [
            (s, name, w, limit)
            for (s, w), limit in self.limits.items()
            for name in EACH.get(s, {s})
        ]
        if one.run_limit_nano_usd is not None:
            run = f"run:{one.request.run_id}"
            named.append((run, run, "total", one.run_limit_nano_usd))
        return [
            (name, scope, window, limit + self.raised[self.place(name, scope, window)])
            for name, scope, window, limit in named
            if scope in one.scopes()
        ]

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

    def settle(self, entry: Entry, cost: int, *, used: bool, tokens: int | None) -> None:
        if not entry.settled:
            entry.settled, entry.cost, entry.used, entry.tokens = True, cost, used, tokens


class LedgerMachine(RuleBasedStateMachine):
    """Does the same to both, and compares them after every step."""

    place: tuple[str, str | None]

    def __init__(self) -> None:
        super().__init__()
        self.reports: Iterator[str] = cycle([*get_args(GroupBy), "tag:team"])

    @initialize()
    def begin(self) -> None:
        kind, url = self.place
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.excess: dict[tuple[str, str], int] = {}
        self.store = empty_store(kind, Path(self.folder.name), url)
        self.store.now = self.model.now
        limits = [(scope, window, f"{nano / 10**9:.9f}") for scope, window, nano in LIMITS]
        self.ledger = self.store.open(*limits)

    @override
    def teardown(self) -> None:
        assert self.runner.run(verify(self.ledger)) == []
        self.ledger.close()
        self.runner.close()
        self.folder.cleanup()

    @rule(holds=wishes, approval=answers)
    def admit(self, holds: list[Hold], approval: Approval | None) -> None:
        made = self.runner.run(self.ledger.admit(holds, approval=approval))
        self.model.sweep()
        fitting, refused = self.model.decide(holds, approval)
        assert (made.index, len(made.refusals)) == (fitting, refused)
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
        fitting, _ = self.model.decide(holds)
        if fitting is not None:
            entry = Entry(holds[fitting], Admission(None, None, ()), self.model.now)
            self.model.entries.append(entry)
            self.model.settle(entry, 0, used=False, tokens=None)

    @precondition(lambda self: self.model.known())
    @rule(data=st.data(), soon=st.booleans())
    def settle(self, data: Any, soon: bool) -> None:
        entry = data.draw(st.sampled_from(self.model.known()))
        cost = data.draw(st.integers(0, entry.hold.nano_usd))
        status = data.draw(
            st.sampled_from(["answered", "refused", "failed", "cancelled", "unused"])
        )
        tokens = data.draw(st.none() | st.integers(0, 50))
        used = status != "unused"
        cost, tokens = (cost, tokens) if used else (0, None)
        counts = {"input_tokens": tokens, "output_tokens": None if tokens is None else 0}
        basis = "none" if not used else "held" if tokens is None else "reported"
        record = settlement(
            entry.made,
            cost,
            status={"refused": "failed", "unused": "cancelled"}.get(status, status),
            error_type="RejectedAnswerError" if status == "refused" else None,
            cost_basis=basis,
            **counts,
        )
        if soon:
            self.ledger.settle_soon(record)
            self.runner.run(self.ledger.check())
        else:
            self.runner.run(self.ledger.settle([record]))
        self.model.settle(entry, cost, used=used, tokens=tokens)

    @rule(seconds=st.sampled_from([0.5, 20, 60, 91, 3600, 43_200, 86_400, 604_800, 2_678_400]))
    def wait(self, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.store.now = self.model.now

    @rule()
    def sweep(self) -> None:
        assert self.runner.run(self.ledger.sweep()) == self.model.sweep()

    @rule()
    def close(self) -> None:
        self.ledger.close()

    @rule(budget=st.sampled_from(SETTABLE), limit=st.none() | st.integers(0, 200))
    def set_budget(self, budget: tuple[str, str], limit: int | None) -> None:
        scope, window = budget[0], cast(Window, budget[1])
        usd = None if limit is None else Decimal(limit) / USD
        changed = self.runner.run(self.ledger.set_budget(scope, window, usd))
        assert changed == (limit is not None or budget in self.model.limits)
        self.model.limits.pop(budget, None)
        if limit is not None:
            self.model.limits[budget] = limit
        for name in {scope, *EACH.get(scope, ())}:
            self.excess[name, window] = sum(self.model.used(name, window))

    @invariant()
    def no_budget_is_ever_exceeded_and_both_agree(self) -> None:
        rows = self.runner.run(self.ledger.budgets())
        for row in rows:
            used = row.spent_nano_usd, row.held_nano_usd
            assert used == self.model.used(row.scope, row.window)
            key = row.scope, row.window
            each = [(name, row.window) for name, scopes in EACH.items() if row.scope in scopes]
            limits = self.model.limits
            assert (row.limit_nano_usd, row.raised_nano_usd) in {
                (limits[name, window] + raised, raised)
                for name, window in (key, *each)
                if (name, window) in limits
                for raised in [self.model.raised[self.model.place(name, row.scope, window)]]
            }
            # Where a limit was lowered below what is used, that goes down and never up.
            assert sum(used) <= max(row.limit_nano_usd, self.excess.get(key, 0))
            self.excess[key] = sum(used)
        shown = {(row.scope, row.window) for row in rows if row.scope not in EVERYONE}
        assert shown == {key for key in self.model.limits if key[0] not in {*EACH, *EVERYONE}}

    @invariant()
    def no_run_costs_more_than_its_largest_envelope(self) -> None:
        for run in ("r1", "r2"):
            mine = [entry.hold for entry in self.model.entries if entry.hold.request.run_id == run]
            # What came without a limit may have been more than any envelope.
            if mine and all(one.run_limit_nano_usd is not None for one in mine):
                most = max(one.run_limit_nano_usd or 0 for one in mine)
                most += self.model.raised[self.model.place(f"run:{run}", f"run:{run}", "total")]
                assert sum(self.model.used(f"run:{run}", "total")) <= most
            lines = self.runner.run(self.ledger.run_cost(run))
            used = sum(line.spent_nano_usd for line in lines), sum(x.held_nano_usd for x in lines)
            assert used == self.model.used(f"run:{run}", "total")

    @invariant()
    def totals_are_the_sums_of_the_rows(self) -> None:
        self.runner.run(self.ledger.check())
        totals, rows = self.store.query(SUMS), self.store.query(ROWS)
        assert {tuple(row.values()) for row in totals} == {tuple(row.values()) for row in rows}
        assert len(totals) == len(rows)
        assert max([0, *(row["calls"] for row in rows)]) == len(self.model.entries)

    @invariant()
    def every_report_adds_up_to_what_was_spent(self) -> None:
        by = next(self.reports)  # One at each step, in turn.
        kind = f"{by}=" if by.startswith("tag:") else "run:" if by == "run" else ""
        counted = [
            entry
            for entry in self.model.entries
            if any(scope.startswith(kind) for scope in entry.hold.scopes())
        ]
        spent = sum(entry.spent_or_held[0] for entry in counted)
        days: dict[str, Any] = {"first_day": "2026-01-01", "end_day": "2099-01-01"}
        lines = self.runner.run(self.ledger.report(by, **days))
        assert sum(line.spent_nano_usd for line in lines) == spent


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_ledger_does_what_its_model_says(  # house: the machine asserts
    kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else None

    class Machine(LedgerMachine):
        place = kind, url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
