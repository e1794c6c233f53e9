"""Reads the ledger's rows in short statements, each from where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aegis_graph.ledger.store import Connection

Row = tuple[Any, ...]

BATCH_ROWS = 5_000
"""Rows in memory at once."""

# The cost as exact decimal text, as ``usd_text`` writes it: whole dollars, then nine digits without
# the zeros at the end. Integers only.
COST_USD = (
    "rtrim(rtrim(CAST(cost_nano_usd / 1000000000 AS TEXT) || '.' || substr(CAST("
    "1000000000 + cost_nano_usd - cost_nano_usd / 1000000000 * 1000000000 AS TEXT), 2), '0'), '.')"
)


class RowFilter(NamedTuple):
    """Which rows are read: those between two local days (ISO dates, half-open) of a provider."""

    since: str | None
    until: str | None
    provider: str | None

    def sql(self) -> str:
        """The conditions, each with ``AND`` before it."""
        tests = {"day >= ?": self.since, "day < ?": self.until, "provider = ?": self.provider}
        return "".join(f" AND {test}" for test, value in tests.items() if value is not None)


class RowReader:
    """Rows in the order of their ids, up to what is the last one when it begins."""

    def __init__(
        self, connection: Connection, chosen: RowFilter, progress: Callable[[int], None] | None
    ) -> None:
        self._connection = connection
        self._filter = chosen
        self._progress = progress
        self._seen = 0
        self._last: int | None = None
        self.count = 0

    def batches(self, columns: Mapping[str, str], *, ended: bool = False) -> Iterator[list[Row]]:
        """Read all rows; an export of a busy ledger ends as well."""
        place = list(columns).index("id" if "id" in columns else "x_Request_Id")
        while rows := self.peek(columns, ended=ended):
            self.pass_by(rows, place)
            yield rows

    def peek(self, columns: Mapping[str, str], *, ended: bool = False) -> list[Row]:
        """The next rows; the same again until they are passed."""
        if self._last is None:
            newest = self._connection.execute("SELECT coalesce(max(id), 0) FROM requests")
            self._last = newest.fetchone()[0]
        query = (
            f"SELECT {', '.join(columns.values())} FROM requests WHERE id > ? AND id <= ?"
            f"{self._filter.sql()}{ENDED if ended else ''} ORDER BY id LIMIT {BATCH_ROWS}"
        )
        values = [value for value in self._filter if value is not None]
        return self._connection.execute(query, (self._seen, self._last, *values)).fetchall()

    def pass_by(self, rows: Sequence[Row], place: int = 0) -> None:
        """Go on behind these rows, whose ids are at this place."""
        self._seen = rows[-1][place]
        self.count += len(rows)
        if self._progress is not None:
            self._progress(self.count)


ENDED = " AND status <> 'reserved'"
