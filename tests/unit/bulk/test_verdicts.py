from __future__ import annotations

from typing import Any

import pytest

from aegis_graph.bulk.verdicts import error_line, verdict, verdict_by_name
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    LedgerError,
    LimitExceededError,
    NoProviderError,
    RequestRejectedError,
)


def failed(*kinds: str) -> AllProvidersFailedError:
    return AllProvidersFailedError("no", route_id="r", attempts=[{"error_type": k} for k in kinds])


def passed_over(code: str, reason: str = "") -> Any:
    return [{"code": code, "reason": reason}]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no such city"), "own"),
        (RequestRejectedError("no", route_id="r"), "own"),
        (failed("BadRequestError"), "own"),
        (failed("MalformedAnswerError", "ProviderUnavailableError"), "own"),
        (failed("ProviderUnavailableError", "RateLimitError"), "outage"),
        (failed("AuthenticationError"), "outage"),
        (NoProviderError("no", route_id="r", skipped=passed_over("cooldown")), "outage"),
        (NoProviderError("no", route_id="r", skipped=passed_over("key")), "outage"),
        (NoProviderError("no", route_id="r", skipped=passed_over("privacy")), "own"),
        (LimitExceededError("no", route_id="r"), "crowded"),
        (LedgerError("locked"), "outage"),
        (
            BudgetExceededError("no", route_id="r", skipped=passed_over("budget", "budget total")),
            "money",
        ),
        (
            BudgetExceededError(
                "no", route_id="r", skipped=passed_over("budget", "budget run:mine")
            ),
            "own",
        ),
    ],
)
def test_whose_fault_it_is(error: Exception, kind: str) -> None:
    assert verdict(error, others_succeed=False).kind == kind


def test_a_provider_that_answers_others_is_not_down() -> None:
    assert verdict(failed("ProviderTimeoutError"), others_succeed=True).kind == "own"


def test_only_an_item_that_was_sent_may_be_at_fault() -> None:
    assert verdict(failed("ProviderTimeoutError"), others_succeed=False).is_doubtful
    down = NoProviderError("no", route_id="r", skipped=passed_over("cooldown"))
    assert not verdict(down, others_succeed=False).is_doubtful


@pytest.mark.parametrize(
    ("names", "others_succeed", "kind"),
    [
        ({"BudgetExceededError", "NoProviderError"}, True, "money"),
        ({"LimitExceededError"}, True, "crowded"),
        ({"AllProvidersFailedError"}, False, "outage"),
        ({"AllProvidersFailedError"}, True, None),
        ({"RequestRejectedError"}, False, None),
        (set(), False, None),
    ],
)
def test_what_a_graph_answered_without_a_model(
    names: set[str], others_succeed: bool, kind: str | None
) -> None:
    found = verdict_by_name(names, others_succeed=others_succeed)
    assert (None if found is None else found.kind) == kind


def test_an_error_is_one_line() -> None:
    assert error_line(ValueError("two\nlines")) == "ValueError: two lines"
    assert error_line(KeyError()) == "KeyError"
