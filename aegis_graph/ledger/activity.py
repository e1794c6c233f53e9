"""What pictures of the ledger show: sums by time and name, and why attempts failed."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.row_selection import COLUMNS, TOTAL, RowCondition, RowSelection, grouping
from aegis_graph.ledger.scopes import after_prefix, report_prefix, tags_of
from aegis_graph.ledger.totals import COUNTED, TOTAL_COLUMNS, Sums

Step = Literal["hour", "day"]

REASON = "coalesce(error_type, status)"
"""Why an attempt failed, in SQL of its row."""


class ActivityPoint(NamedTuple):
    """What is counted of one name in one step of time."""

    time: str
    """A local day, or an hour in UTC: ``2026-11-23`` or ``2026-11-23T11``."""
    name: str
    sums: Sums


class FailureCount(NamedTuple):
    """How often attempts or requests ended for one reason without an answer."""

    reason: str
    """The name of an error, or how the attempts ended where they have none."""
    number: int
    fallbacks: int
    """Of these attempts, those after which another provider was asked."""
    nano_usd: int
    """What they cost."""


class ProviderFailures(NamedTuple):
    """How often a provider's attempts ended for one reason, since the ledger began."""

    provider: str
    reason: str
    """As ``FailureCount`` has it; ``pruned`` where it went with rows of older versions."""
    number: int


def activity(by: str, step: Step, selection: RowSelection) -> Query[list[ActivityPoint]]:
    """Sums by time and by ``provider``, ``tag:KEY`` and so on, in the order of time.

    Days are read from the totals where these have what is chosen, in the same time for any number
    of rows; hours and combinations from the rows of the days.

    Args:
        by: What to split by: ``total``, or as in a report.
        step: How long the steps of time are.
        selection: What to count.

    Raises:
        ConfigError: There is no report by that.
    """
    scopes = _scopes(by, selection) if step == "day" else None
    rows = yield _of_rows(by, step, selection) if scopes is None else _of_totals(scopes, selection)
    prefix = "" if scopes is None or by == TOTAL else report_prefix(by)
    return [
        ActivityPoint(
            str(time),
            by if by == TOTAL else str(name).removeprefix(prefix),
            # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
            Sums(*map(int, sums)),
        )
        for time, name, *sums in rows
    ]


def _scopes(by: str, selection: RowSelection) -> RowCondition | None:
    """The scopes whose totals are the answer, if they have it."""
    scope = selection.scope()
    prefix = TOTAL if by == TOTAL else report_prefix(by)
    if by != TOTAL and scope == TOTAL:
        return RowCondition("scope >= ? AND scope < ?", (prefix, after_prefix(prefix)))
    if scope is not None and (by == TOTAL or scope.startswith(prefix)):
        return RowCondition("scope = ?", (scope,))
    return None


def _of_totals(scopes: RowCondition, selection: RowSelection) -> Statement:
    return Statement(
        f"SELECT day, scope, {', '.join(TOTAL_COLUMNS)} FROM totals"
        f" WHERE {scopes.sql} AND day >= ? AND day < ? ORDER BY day, scope",
        (*scopes.parameters, *selection.days),
    )


def _of_rows(by: str, step: Step, selection: RowSelection) -> Statement:
    time = "day" if step == "day" else "substr(timestamp, 1, 13)"
    name, join, parameters = grouping(by)
    condition = selection.condition()
    return Statement(
        f"SELECT {time} AS step, {name} AS name, {', '.join(COUNTED.values())} FROM requests{join}"
        f" WHERE {condition.sql} AND {name} IS NOT NULL GROUP BY step, name ORDER BY step, name",
        (*parameters, *condition.parameters),
    )


def failures(selection: RowSelection) -> Query[list[FailureCount]]:
    """Why attempts ended without an answer, most frequent first."""
    condition = selection.condition()
    rows = yield Statement(
        f"SELECT {REASON} AS reason, count(*) AS attempts, sum("
        "CASE WHEN EXISTS (SELECT 1 FROM requests AS later WHERE later.route_id = requests.route_id"
        " AND later.attempt > requests.attempt) THEN 1 ELSE 0 END), sum(cost_nano_usd)"
        " FROM requests WHERE status IN ('failed', 'cancelled', 'expired')"
        f" AND {condition.sql} GROUP BY reason ORDER BY attempts DESC, reason",
        condition.parameters,
    )
    return [FailureCount(str(reason), *map(int, counts)) for reason, *counts in rows]


def failures_by_provider() -> Query[list[ProviderFailures]]:
    """Why attempts of each provider ended without an answer, in the order of their names.

    Of all attempts that ever were: the sum of a provider's is what its totals count.
    """
    rows = yield Statement(
        "SELECT provider, reason, sum(failures) FROM ("
        f"SELECT provider, {REASON} AS reason, count(*) AS failures FROM requests"
        " WHERE status IN ('failed', 'cancelled', 'expired') GROUP BY provider, status, error_type"
        " UNION ALL SELECT provider, reason, failures FROM pruned_failures"
        ") AS known GROUP BY provider, reason ORDER BY provider, reason"
    )
    return [ProviderFailures(provider, reason, int(number)) for provider, reason, number in rows]


def unanswered(selection: RowSelection, since: str, until: str) -> Query[list[FailureCount]]:
    """Why requests ended without an answer, most frequent first; no attempt is counted here.

    Args:
        selection: Which requests; one that says what attempts alone have, chooses none.
        since: The beginning of its days, as rows have instants.
        until: Their end.
    """
    chosen = selection.names()
    chosen.pop("tag", None)
    if chosen.keys() - _OF_REQUESTS.keys():
        return []
    tests = ["timestamp >= ?", "timestamp < ?", *(f"{_OF_REQUESTS[name]} = ?" for name in chosen)]
    rows = yield Statement(
        f"SELECT error_type, tags, count(*) FROM unanswered WHERE {' AND '.join(tests)}"
        " GROUP BY error_type, tags",
        (since, until, *chosen.values()),
    )
    counts: Counter[str] = Counter()
    for reason, tags, number in rows:
        if selection.tag is None or tags_of(tags).get(selection.tag.key) == selection.tag.value:
            counts[str(reason)] += int(number)
    return [FailureCount(reason, number, 0, 0) for reason, number in counts.most_common()]


_OF_REQUESTS = {
    name: column
    for name, column in COLUMNS.items()
    if name in ("task", "user", "run", "thread", "sensitivity")
}


def tag_keys() -> Query[list[str]]:
    """The keys of all tags that were ever used, in alphabetical order."""
    keys: list[str] = []
    first = "tag:"
    while True:
        # From one key to the next: there are few, and many values.
        ((scope,),) = yield Statement(
            "SELECT min(scope) FROM totals WHERE scope >= ? AND scope < ?",
            (first, after_prefix("tag:")),
        )
        if scope is None:
            return keys
        prefix = scope[: scope.index("=") + 1]
        keys.append(prefix.removeprefix("tag:").removesuffix("="))
        first = after_prefix(prefix)
