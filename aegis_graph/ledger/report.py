"""Questions about spending, answered from the daily totals: as fast at a million rows as at ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.records import CostRow, Latency, Overrun
from aegis_graph.ledger.scopes import SCOPE_COLUMNS, after_prefix, report_prefix
from aegis_graph.ledger.windows import Days

_MONTH = "substr(day, 1, 7)"

_TIMES: Mapping[str, str] = {"day": "day", "month": _MONTH}

_COLUMNS: Mapping[str, str] = {**SCOPE_COLUMNS, **_TIMES}
"""What of ``requests`` a report's rows are named by."""


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
    found = (yield from latencies(by, days)) if latency else {}
    last = after_prefix(prefix)
    name = _TIMES.get(by, "names.scope")
    order = "name" if by in _TIMES else "spent DESC, calls DESC, name"
    rows = yield Statement(
        f"{_SCOPES} SELECT {name} AS name, sum(calls) AS calls, sum(failures), sum(input_tokens),"
        " sum(output_tokens), sum(spent_nano_usd) AS spent, sum(held_nano_usd)"
        " FROM names JOIN totals ON totals.scope = names.scope AND day >= ? AND day < ?"
        f" GROUP BY {name} ORDER BY {order}",
        (prefix, last, last, *days),
    )
    report = []
    for scope, *sums in rows:
        name = str(scope).removeprefix(prefix)
        report.append(_cost_row(name, sums, found.get(name)))
    return report


def latencies(by: str, days: Days) -> Query[dict[str, Latency]]:
    """Percentiles of the answered calls on some local days; reads each of their rows.

    By nearest rank: the smallest latency that at least so many percent of the calls had or stayed
    below, so it is always one that was measured.
    """
    tag = by.partition(":")[2]
    column = "value" if tag else _COLUMNS[by]
    tags = " JOIN request_tags ON request_id = id AND key = ?" if tag else ""
    # Ranks are compared as integers, so that they are exact.
    rows = yield Statement(
        "SELECT name, min(CASE WHEN place * 100 >= number * 50 THEN latency_ms END),"
        " min(CASE WHEN place * 100 >= number * 95 THEN latency_ms END),"
        " min(CASE WHEN place * 100 >= number * 99 THEN latency_ms END) FROM ("
        f"SELECT {column} AS name, latency_ms,"
        f" row_number() OVER (PARTITION BY {column} ORDER BY latency_ms) AS place,"
        f" count(*) OVER (PARTITION BY {column}) AS number FROM requests{tags}"
        " WHERE status = 'answered' AND latency_ms IS NOT NULL AND day >= ? AND day < ?"
        f" AND {column} IS NOT NULL"
        ") AS ranked GROUP BY name",
        [*([tag] if tag else []), *days],
    )
    return {str(row[0]): Latency(*map(int, row[1:])) for row in rows}


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
    rows = yield Statement(
        "SELECT task, count(*),"
        " sum(CASE WHEN status IN ('failed', 'cancelled', 'expired') THEN 1 ELSE 0 END),"
        " sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)),"
        " sum(cost_nano_usd) AS spent,"
        " sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END)"
        " FROM requests WHERE run_id = ? GROUP BY task ORDER BY spent DESC, task",
        (run_id,),
    )
    return [_cost_row(str(task), sums) for task, *sums in rows]


def _cost_row(name: str, sums: Sequence[Any], latency_ms: Latency | None = None) -> CostRow:
    # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
    calls, failures, input_tokens, output_tokens, spent, held = map(int, sums)
    return CostRow(name, calls, failures, input_tokens, output_tokens, spent, held, latency_ms)
