"""Reads the ledger's rows in short statements, each from where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aegis_graph.ledger.columns import REQUESTS
from aegis_graph.ledger.export.csv_lines import escape_formula_sql
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.row_selection import RowSelection

LedgerRow = tuple[Any, ...]

BATCH_ROWS = 5_000
"""Rows in memory at once."""

# The cost as exact decimal text, as ``usd_text`` writes it: whole dollars, then nine digits without
# the zeros at the end. Integers only.
COST_USD = (
    "rtrim(rtrim(CAST(cost_nano_usd / 1000000000 AS TEXT) || '.' || substr(CAST("
    "1000000000 + cost_nano_usd - cost_nano_usd / 1000000000 * 1000000000 AS TEXT), 2), '0'), '.')"
)

PLAIN = {one.name: COST_USD if one.type == "usd" else one.name for one in REQUESTS}
"""Each column of ``requests`` in SQL, its text unchanged."""

ESCAPED = {**PLAIN, **{one.name: escape_formula_sql(one.name) for one in REQUESTS if one.free_text}}
"""The same, with no text that a spreadsheet would run as a formula."""


class RowReader:
    """Rows in the order of their ids, up to what is the last one when it begins."""

    def __init__(self, chosen: RowSelection, progress: Callable[[int], None] | None) -> None:
        self._condition = chosen.condition()
        self._progress = progress
        self._last_read = 0
        self._newest: int | None = None
        self.count = 0

    def next_rows(
        self, columns: Mapping[str, str], *, ended: bool = False
    ) -> Query[list[LedgerRow]]:
        """The next rows, which are passed by it; none at the end."""
        rows = yield from self.peek(columns, ended=ended)
        if rows:
            self.advance(rows, list(columns).index("id" if "id" in columns else "x_Request_Id"))
        return rows

    def peek(self, columns: Mapping[str, str], *, ended: bool = False) -> Query[list[LedgerRow]]:
        """The next rows; the same again until they are passed."""
        # The end is fixed once: rows that come meanwhile would keep the export going.
        if self._newest is None:
            ((self._newest,),) = yield Statement("SELECT coalesce(max(id), 0) FROM requests")
        query = (
            f"SELECT {', '.join(columns.values())} FROM requests WHERE id > ? AND id <= ?"
            f" AND {self._condition.sql}{ENDED if ended else ''} ORDER BY id LIMIT {BATCH_ROWS}"
        )
        values = (self._last_read, self._newest, *self._condition.parameters)
        return (yield Statement(query, values))

    def advance(self, rows: Sequence[LedgerRow], id_at: int = 0) -> None:
        """Go on behind these rows, which have their ids at this place."""
        self._last_read = rows[-1][id_at]
        self.count += len(rows)
        if self._progress is not None:
            self._progress(self.count)


ENDED = " AND status <> 'reserved'"
