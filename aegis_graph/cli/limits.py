"""What the command line shows of limits in other units than money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aegis_graph.cli.output import TableColumn
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limit_status import LimitStatus
from aegis_graph.routing.limits import configured_limits

LIMITS_TITLE = "Limits of calls and tokens"


async def limits_in_use(ledger: SqlLedger, config: RouterConfig) -> list[LimitStatus]:
    """The configuration's limits, with what is in use of each."""
    limits = configured_limits(config)
    return await ledger.limits(limits) if limits else []


def limit_columns(rows: Sequence[LimitStatus]) -> Iterator[TableColumn]:
    """A table of them."""
    yield TableColumn("scope", [row.scope for row in rows])
    yield TableColumn("limit", [row.unit for row in rows])
    yield TableColumn("most", [f"{row.most:,}" for row in rows], number=True)
    yield TableColumn("in use", [_in_use(row) for row in rows], number=True)


def limits_as_json(rows: Sequence[LimitStatus]) -> list[dict[str, Any]]:
    """For ``--json``."""
    return [row._asdict() for row in rows]


def limit_lines(rows: Sequence[LimitStatus]) -> Iterator[str]:
    """One line for each."""
    for row in rows:
        use = f"{row.most:,} each" if row.used is None else f"{row.used:,} of {row.most:,} in use"
        yield f"Limit {row.scope} {row.unit}: {use}"


def _in_use(row: LimitStatus) -> str:
    return "each" if row.used is None else f"{row.used:,}"
