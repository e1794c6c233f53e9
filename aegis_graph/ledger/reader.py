"""What is read of a ledger: reports and exports, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from aegis_graph.ledger import budgets
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.records import Budget
from aegis_graph.ledger.store import Connection, Store, answered
from aegis_graph.ledger.windows import Days
from aegis_graph.types import ExportFormat, FocusVersion

if TYPE_CHECKING:
    from aegis_graph.ledger.report_rows import CostRow, Overrun

T = TypeVar("T")


class LedgerReader:
    """The questions to a ledger that change nothing in it.

    Args:
        store: The database.
        limits: The limits of the configuration, which a ledger that does not exist yet is to have.
    """

    def __init__(self, store: Store, limits: Sequence[Budget]) -> None:
        self.store = store
        # A list of its own: what is seeded later replaces its items.
        self._limits = list(limits)

    async def report(
        self, by: str, *, first_day: str, end_day: str, latency: bool = False
    ) -> list[CostRow]:
        """Spend between two local days (ISO dates, half-open), dearest first; days in their order.

        It is read from daily totals, in the same time for any number of calls. With ``latency``,
        percentiles are added, for which every call of these days is read: three seconds for a
        million.

        Args:
            by: One of ``GroupBy``, or ``tag:KEY`` for the values of a tag.
            first_day: The first day.
            end_day: The day after the last one.
            latency: Whether to add percentiles.

        Raises:
            ConfigError: There is no report by that.
        """
        # Imported where they are used: a router counts, and neither reports nor exports.
        from aegis_graph.ledger.report import spending  # noqa: PLC0415

        return await self.read(spending(by, Days(first_day, end_day), latency=latency))

    async def run_cost(self, run_id: str) -> list[CostRow]:
        """What a run cost so far, one row per task, dearest first; their sum is the run's cost.

        It is read from the run's own rows: those that were pruned are missing.
        """
        from aegis_graph.ledger.report import run_cost  # noqa: PLC0415  as above

        return await self.read(run_cost(run_id))

    async def overruns(self, first_day: str) -> list[Overrun]:
        """The providers whose attempts cost more than was reserved since a local day (ISO date)."""
        from aegis_graph.ledger.report import overruns  # noqa: PLC0415  as above

        return await self.read(overruns(first_day))

    async def export(
        self,
        stream: BinaryIO,
        *,
        format: ExportFormat,
        since: str | None = None,
        until: str | None = None,
        provider: str | None = None,
        focus_version: FocusVersion = "1.2",
    ) -> int:
        """Write every row between two local days (ISO dates, half-open); see ``export_rows``.

        It is written from another thread, in bounded memory. When the waiting task is cancelled,
        the export ends with the batch that is being written.

        Returns:
            The number of rows.
        """
        return _count(
            await self.read(
                _exported(
                    stream,
                    format=format,
                    since=since,
                    until=until,
                    provider=provider,
                    focus_version=focus_version,
                )
            )
        )

    def export_blocking(
        self,
        stream: BinaryIO,
        *,
        format: ExportFormat,
        since: str | None = None,
        until: str | None = None,
        provider: str | None = None,
        focus_version: FocusVersion = "1.2",
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """As ``export``, in the calling thread; ``progress`` is called with the rows so far."""
        return _count(
            self.read_blocking(
                _exported(
                    stream,
                    format=format,
                    since=since,
                    until=until,
                    provider=provider,
                    focus_version=focus_version,
                    progress=progress,
                )
            )
        )

    async def read(self, query: Query[T]) -> T:
        """Ask a question on a connection of its own: a report delays no admission."""
        store = self.store
        try:
            return await store.ask(self._connect, query)
        except store.errors as error:
            raise store.explain(error) from error

    def read_blocking(self, query: Query[T]) -> T:
        """As ``read``, in the calling thread."""
        store = self.store
        try:
            with closing(self._connect()) as connection:
                return answered(connection, query)
        except store.errors as error:
            raise store.explain(error) from error

    def _connect(self) -> Connection:
        if self.store.exists():
            return self.store.open_to_read()
        # A question does not make a ledger, and is answered from the file's limits.
        connection = self.store.open_empty()
        budgets.seed(connection, self._limits)
        return connection


def _exported(
    stream: BinaryIO,
    *,
    format: ExportFormat,
    since: str | None,
    until: str | None,
    provider: str | None,
    focus_version: FocusVersion,
    progress: Callable[[int], None] | None = None,
) -> Query[int | OSError]:
    from aegis_graph.ledger.export.export import export_rows  # noqa: PLC0415  as reports are

    try:
        return (
            yield from export_rows(
                stream,
                format=format,
                since=since,
                until=until,
                provider=provider,
                focus_version=focus_version,
                progress=progress,
            )
        )
    except OSError as error:
        # The stream's, which must not be taken for one of the store's.
        return error


def _count(exported: int | OSError) -> int:
    if isinstance(exported, OSError):
        raise exported
    return exported
