"""Limits in the ledger: the file seeds them, what was set later wins, a changed file wins again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import cast

import pytest

from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.factory import calendar_of, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Budget
from aegis_graph.types import Window
from tests.contract.ledger_store import USD, Store, hold, settlement

MONTH = ("total", "month", "1")


async def limits(ledger: SqlLedger) -> list[tuple[str, str, int, str]]:
    rows = await ledger.budgets()
    return [(row.scope, row.window, row.limit_nano_usd, row.origin) for row in rows]


async def test_the_file_seeds_and_what_was_set_wins_over_it_for_good(store: Store) -> None:
    ledger = store.open(MONTH)
    assert await limits(ledger) == [("total", "month", USD, "file")]
    assert await ledger.set_budget("total", "month", Decimal("2.5"))
    assert await limits(ledger) == [("total", "month", 5 * USD // 2, "set")]
    ledger.close()
    assert await limits(store.open(MONTH)) == [("total", "month", 5 * USD // 2, "set")]


async def test_a_changed_file_wins_again(store: Store) -> None:
    await store.open(MONTH).set_budget("total", "month", Decimal(2))
    changed = store.open(("total", "month", "3"))
    assert await limits(changed) == [("total", "month", 3 * USD, "file")]


async def test_what_was_removed_stays_removed_until_the_file_changes(store: Store) -> None:
    ledger = store.open(MONTH)
    assert await ledger.set_budget("total", "month", None)
    assert await limits(ledger) == []
    assert (await ledger.admit([hold(50 * USD)])).hold_id is not None
    assert await limits(store.open(MONTH)) == []
    changed = store.open(("total", "month", "3"))
    assert await limits(changed) == [("total", "month", 3 * USD, "file")]


async def test_removing_what_is_not_there_says_so_and_leaves_nothing_behind(store: Store) -> None:
    ledger = store.open()
    assert not await ledger.set_budget("total", "month", None)
    assert store.rows("budgets") == []
    assert await limits(store.open(MONTH)) == [("total", "month", USD, "file")]
    assert await ledger.set_budget("total", "month", None)
    assert not await ledger.set_budget("total", "month", None)


async def test_a_limit_that_the_file_does_not_have_can_be_set_and_removed(store: Store) -> None:
    ledger = store.open(MONTH)
    assert await ledger.set_budget("user:*", "day", Decimal(1))
    assert (await ledger.admit([hold(USD + 1)])).hold_id is None
    assert await ledger.set_budget("user:*", "day", None)
    assert [row[0] for row in await limits(ledger)] == ["total"]
    assert (await ledger.admit([hold(USD)])).hold_id is not None


async def test_another_open_ledger_sees_a_change_at_its_next_admission(store: Store) -> None:
    ours, theirs = store.open(MONTH), store.open(MONTH)
    assert (await theirs.admit([hold(USD)])).hold_id is not None
    assert (await theirs.admit([hold(1)])).hold_id is None
    await ours.set_budget("total", "month", Decimal(2))
    assert (await theirs.admit([hold(USD)])).hold_id is not None
    await ours.set_budget("total", "month", Decimal(0))
    refused = await theirs.admit([hold(1)])
    assert (
        refused.refusals[0].reason() == "budget total per month: needs up to $0.000000001, $0 left"
    )


@pytest.mark.parametrize(
    ("scope", "window", "usd", "says"),
    [
        ("provider", "month", "1", "budget scope"),
        ("total", "year", "1", "budget window"),
        ("total", "month", "-1", "budget limit_usd"),
        ("total", "month", "NaN", "budget limit_usd"),
    ],
)
async def test_what_is_no_limit_is_refused_by_name(
    store: Store, scope: str, window: str, usd: str, says: str
) -> None:
    ledger = store.open(MONTH)
    with pytest.raises(ConfigError, match=says):
        await ledger.set_budget(scope, cast(Window, window), Decimal(usd))
    assert await limits(ledger) == [("total", "month", USD, "file")]


def with_alert(store: Store, scope: str, window: Window) -> SqlLedger:
    spec = LedgerSpec(url=store.url)
    budget = Budget(scope, window, 100, Decimal("0.8"))
    ledger = SqlLedger(
        create_store(spec), limits=[budget], calendar=calendar_of(spec), clock=lambda: store.now
    )
    store.opened.append(ledger)
    return ledger


async def spend(ledger: SqlLedger, nano_usd: int, user: str = "ada") -> list[tuple[str, int]]:
    made = await ledger.admit([hold(nano_usd, user=user)])
    alerts = await ledger.settle([settlement(made, nano_usd)])
    return [(alert.scope, alert.spent_nano_usd) for alert in alerts]


async def test_an_alert_is_given_once_per_window_by_whichever_process_is_first(
    store: Store,
) -> None:
    ours, theirs = with_alert(store, "total", "day"), with_alert(store, "total", "day")
    assert await spend(ours, 79) == []
    assert await spend(theirs, 1) == [("total", 80)]
    assert await spend(ours, 1) == []
    ours.close()
    assert await spend(ours, 1) == []
    store.now += timedelta(days=1)
    assert await spend(ours, 79) == []
    assert await spend(ours, 2) == [("total", 81)]


async def test_each_user_has_an_alert_of_their_own(store: Store) -> None:
    ledger = with_alert(store, "user:*", "month")
    assert await spend(ledger, 80, "ada") == [("user:ada", 80)]
    assert await spend(ledger, 80, "bob") == [("user:bob", 80)]
    assert await spend(ledger, 1, "ada") == []


async def test_a_hold_gives_no_alert_and_an_expired_one_gives_it_with_the_next_spending(
    store: Store,
) -> None:
    ledger = with_alert(store, "total", "month")
    made = await ledger.admit([hold(90)])
    assert made.alerts == ()
    store.now += timedelta(hours=1)
    assert await spend(ledger, 1) == [("total", 91)]
