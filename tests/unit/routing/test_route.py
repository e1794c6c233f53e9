"""How a request in progress changes from step to step."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.routing.budget_question import BudgetQuestion
from aegis_graph.routing.route import (
    Route,
    admitted,
    admitted_hold,
    attempted,
    declined,
    new_route,
    pending,
    questioned,
    refusals,
    settled,
)
from aegis_graph.routing.state import RouterState, answered, in_progress
from aegis_graph.types import SkippedRecord

HOLD = admitted_hold(7, 100, datetime(2026, 11, 29, tzinfo=UTC))
FAILED = unused_hold(6)


def failed_once() -> Route:
    return attempted(new_route(), FAILED, exclude="first", retry_after_s=2.0)


def test_an_attempt_that_ended_waits_for_the_ledger_without_a_reservation() -> None:
    route = attempted(admitted(new_route(), HOLD, "next"), FAILED, retry_after_s=0.0)
    assert (route["hold"], route["pending"], route["excluded"]) == (None, [FAILED], [])
    assert failed_once()["excluded"] == ["first"]
    assert failed_once()["retry_after_s"] == 2.0


def test_what_the_ledger_has_is_neither_pending_nor_waited_for() -> None:
    route = settled(failed_once())
    assert (route["pending"], route["hold"], route["retry_after_s"]) == ([], None, 0.0)
    assert route["excluded"] == ["first"], "that counts until the request ends"


def test_an_admitted_attempt_has_its_reservation_and_nothing_else_to_do() -> None:
    route = admitted(failed_once(), HOLD, "cloud, candidate 1")
    assert (route["hold"], route["reason"]) == (HOLD, "cloud, candidate 1")
    assert (route["pending"], route["retry_after_s"]) == ([], 0.0)


@pytest.mark.parametrize("exclude", [None, "second"])
def test_a_declined_attempt_gives_its_reservation_back(exclude: str | None) -> None:
    route = declined(admitted(failed_once(), HOLD, "next"), unused_hold(7), exclude=exclude)
    assert (route["hold"], route["pending"]) == (None, [unused_hold(7)])
    assert route["excluded"] == (["first"] if exclude is None else ["first", "second"])


@pytest.mark.parametrize(
    "change",
    [
        settled,
        lambda route: admitted(route, HOLD, "next"),
        lambda route: attempted(route, FAILED, exclude="second", broken_off="Hel"),
        lambda route: declined(route, None, exclude="second"),
    ],
    ids=["settled", "admitted", "attempted", "declined"],
)
def test_no_step_writes_into_the_route_before_it(change: Any) -> None:
    route = failed_once()
    before = deepcopy(route)
    assert change(route) != before
    assert route == before


def test_a_new_request_finds_nothing_of_the_last_one_on_its_thread() -> None:
    last: Any = {
        "route_id": "last",
        "attempts": [{"provider": "p"}],
        "skipped": [{}],
        "route": None,
    }
    state = in_progress(last)
    assert (state["attempts"], state["skipped"], state["route"]) == ([], [], new_route())
    assert state["route_id"] not in ("", "last")
    assert in_progress(state) == state, "in its next steps the request finds its own"


def test_a_refusal_lasts_until_the_request_ends() -> None:
    refusal: SkippedRecord = {"provider": "p", "model": "m", "code": "hook", "reason": "no"}
    route = declined(admitted(failed_once(), HOLD, "next"), unused_hold(7), refusal=refusal)
    assert refusals(attempted(settled(route), FAILED)) == [refusal]
    assert route["excluded"] == ["first", "p"]


def test_a_route_of_an_older_version_has_no_refusals() -> None:
    old: Any = {key: value for key, value in new_route().items() if key != "refusals"}
    assert refusals(old) == []


def test_two_attempts_that_ran_at_once_wait_for_the_ledger_together() -> None:
    route = attempted(admitted(new_route(), HOLD, "next"), FAILED, broken_off="Hel")
    both = attempted(route, unused_hold(7), exclude="second")
    assert pending(both) == [FAILED, unused_hold(7)]
    assert (both["broken_off"], both["excluded"]) == ("Hel", ["second"])


def test_a_route_of_an_older_version_has_one_pending_settlement_or_none() -> None:
    old: Any = {**new_route(), "pending": FAILED}
    assert pending(old) == [FAILED]
    assert pending(cast("Route", {**old, "pending": None})) == []


def test_after_an_answer_the_question_is_gone_and_the_time_begins_anew() -> None:
    question = cast("BudgetQuestion", {"kind": "budget"})
    state = cast("RouterState", {"route": questioned(new_route(), question), "ends_at": 7.0})
    after = answered(state)
    assert "ends_at" not in after
    assert after["route"] == {**new_route(), "question": None}
