"""Questions about spending, answered from the daily totals: as fast at a million rows as at ten."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.report_rows import CostRow, Latency, Overrun
from aegis_graph.ledger.row_selection import RowSelection, grouping
from aegis_graph.ledger.scopes import after_prefix, report_prefix
from aegis_graph.ledger.totals import COUNTED, TOTAL_COLUMNS
from aegis_graph.ledger.windows import Days

Timed = Literal["latency_ms", "first_token_ms", "queued_ms"]
"""The times that a row has, in milliseconds."""

_TIMES: Mapping[str, str] = {"day": "day", "month": "substr(day, 1, 7)"}

_REPORTED = tuple(name for name in TOTAL_COLUMNS if name != "open_holds")
"""The columns of ``totals`` that a report shows, as ``CostRow`` names them."""


# Steps from one scope to the next, so that only days that were asked for are read of each.
_SCOPES = """
    WITH RECURSIVE names (scope) AS (
        SELECT min(scope) FROM totals WHERE scope >= ? AND scope < ?
        UNION ALL
        SELECT (SELECT min(scope) FROM totals WHERE scope > names.scope AND scope < ?)
        FROM names WHERE names.scope IS NOT NULL
    )
"""


def spending(by: str, days: Days, *, latency: bool = False) -> Query[list[CostRow]]:
    """Spend on some local days, dearest first; by day or month, in their order.

    Raises:
        ConfigError: There is no report by that.
    """
    prefix = report_prefix(by)
    took: dict[str, Latency] = {}
    queued: dict[str, Latency] = {}
    if latency:
        took = yield from latencies(by, RowSelection(days=days))
        queued = yield from latencies(by, RowSelection(days=days), of="queued_ms")
    last = after_prefix(prefix)
    name = _TIMES.get(by, "names.scope")
    order = "name" if by in _TIMES else "spent DESC, calls DESC, name"
    rows = yield Statement(
        f"{_SCOPES} SELECT {name} AS name, {', '.join(f'sum({one})' for one in _REPORTED)},"
        " sum(spent_nano_usd) AS spent, sum(calls) AS calls"
        " FROM names JOIN totals ON totals.scope = names.scope AND day >= ? AND day < ?"
        f" GROUP BY {name} ORDER BY {order}",
        (prefix, last, last, *days),
    )
    report = []
    for scope, *sums, _, _ in rows:
        name = str(scope).removeprefix(prefix)
        report.append(_cost_row(name, sums, took.get(name), queued.get(name)))
    return report


def latencies(
    by: str, selection: RowSelection, *, of: Timed = "latency_ms"
) -> Query[dict[str, Latency]]:
    """Percentiles of the time that the chosen calls took, where answered; reads each of their rows.

    By nearest rank: the smallest latency that at least so many percent of the calls had or stayed
    below, so it is always one that was measured.

    Args:
        by: What there is one row for.
        selection: The calls.
        of: Their own time, or the time that they waited for limits.
    """
    name, join, parameters = grouping(by)
    condition = selection.condition()
    # Counted by the database: many calls take equally long, to the millisecond.
    rows = yield Statement(
        f"SELECT {name} AS name, {of}, count(*) FROM requests{join}"
        f" WHERE status = 'answered' AND {of} IS NOT NULL AND {condition.sql}"
        f" AND {name} IS NOT NULL GROUP BY name, {of} ORDER BY {of}",
        (*parameters, *condition.parameters),
    )
    counts: dict[str, list[tuple[int, int]]] = {}
    for one, ms, number in rows:
        counts.setdefault(str(one), []).append((int(ms), int(number)))
    return {one: _percentiles(known) for one, known in counts.items()}


def _percentiles(counts: Sequence[tuple[int, int]]) -> Latency:
    """Of values in their order, each with how often it is there."""
    ranks = list(accumulate(number for _, number in counts))
    # The first place with ``place * 100 >= all * percent``: whole numbers, so that it is exact.
    return Latency(
        *(counts[bisect_left(ranks, -(-ranks[-1] * percent // 100))][0] for percent in (50, 95, 99))
    )


def overruns(first_day: str) -> Query[list[Overrun]]:
    """The providers whose attempts cost more than was reserved since a local day, dearest first."""
    rows = yield Statement(
        "SELECT provider, sum(CASE WHEN overrun > 0 THEN 1 ELSE 0 END),"
        " sum(CASE WHEN overrun > 0 THEN overrun ELSE 0 END) AS above,"
        " sum(CASE WHEN overrun < 0 THEN 1 ELSE 0 END)"
        " FROM requests WHERE overrun <> 0 AND day >= ?"
        " GROUP BY provider ORDER BY above DESC, provider",
        (first_day,),
    )
    return [Overrun(str(provider), *map(int, counts)) for provider, *counts in rows]


def run_cost(run_id: str) -> Query[list[CostRow]]:
    """Spend of one run by task, dearest first, from the rows that are there."""
    sums = ", ".join(COUNTED[name] for name in _REPORTED)
    rows = yield Statement(
        f"SELECT task, {sums}, sum(cost_nano_usd) AS spent FROM requests"
        " WHERE run_id = ? GROUP BY task ORDER BY spent DESC, task",
        (run_id,),
    )
    return [_cost_row(str(task), counts) for task, *counts, _ in rows]


def _cost_row(
    name: str, sums: Sequence[Any], took: Latency | None = None, queued: Latency | None = None
) -> CostRow:
    # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
    counts = dict(zip(_REPORTED, map(int, sums), strict=True))
    return CostRow(name, **counts, latency_ms=took, queued_ms=queued)
