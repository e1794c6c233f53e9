"""What the steps of a job's batches share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aegis_graph.bulk.batch.batch_items import BatchItems
from aegis_graph.bulk.batch.lines import LineWriter
from aegis_graph.bulk.batch.records import HOLDER, BatchRecord, BatchRecords, LineRecord
from aegis_graph.bulk.batch.service import BatchService
from aegis_graph.bulk.envelope import TAG
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import ItemResult
from aegis_graph.clock import Clock
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.request_holds import holds_of
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.providers.base import Provider
from aegis_graph.routing.fast_path import FastPathGraph

FOLDER = "batches"
"""Of the files that are on their way, in the results folder."""


@dataclass(slots=True)
class BatchRun:
    """The batches of one run of a job.

    Args:
        job: Its name.
        queue: Its items.
        records: Its batches.
        router: Which its requests are asked of.
        writer: Writes requests as lines.
        ledger: Where their reservations are.
        items: Runs items, and keeps what came of them.
        clock: Returns the present as an aware datetime in UTC.
        concurrency: How many answers are read, or items run without a batch, at the same time.
        stop: Set where no more is to be begun.
    """

    job: str
    queue: WorkQueue
    records: BatchRecords
    router: FastPathGraph
    writer: LineWriter
    ledger: SqlLedger
    items: BatchItems
    clock: Clock
    concurrency: int
    stop: asyncio.Event
    services: dict[str, BatchService] = field(default_factory=dict)

    @property
    def envelope(self) -> str:
        """The scope of the job's own budget."""
        return f"tag:{TAG}={self.job}"

    @property
    def is_cancelled(self) -> bool:
        """Whether the job is to end."""
        return self.queue.facts().state == "cancelled"

    def file(self, batch: BatchRecord, kind: str) -> Path:
        """Where a file of a batch is: ``asked``, ``answered`` or ``failed``."""
        return self.queue.folder / FOLDER / f"{batch.number:05}-{kind}.jsonl"

    def provider(self, batch: BatchRecord) -> Provider | None:
        """Whose batch it is; ``None`` where the configuration has no such provider any more."""
        return self.writer.providers.get(batch.provider)

    def drop_files(self, batch: BatchRecord) -> None:
        """Delete what is here of a batch."""
        for kind in ("asked", "answered", "failed"):
            self.file(batch, kind).unlink(missing_ok=True)

    def service(self, provider: Provider) -> BatchService:
        """The API of a provider's batches."""
        return self.services.setdefault(provider.spec.name, BatchService(provider))

    def give_back(self, keys: Iterable[str]) -> None:
        """Have items be as if no batch had taken them."""
        items = self.records.items(keys)
        # What earlier runs of them cost stays.
        back = [
            ItemResult(key=key, outcome="pending", cost_nano_usd=item.cost_nano_usd)
            for key, item in items.items()
        ]
        self.queue.finish(HOLDER, back)

    async def release(self, lines: Mapping[str, LineRecord]) -> None:
        """Give back what was held for lines that are not sent, and forget them.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        held = [line.hold_id for line in lines.values() if line.hold_id is not None]
        # A crash may have come between a reservation and the note of it.
        unsure = [line.route_id for line in lines.values() if line.hold_id is None]
        held += await self.ledger.read(holds_of(unsure)) if unsure else []
        if held:
            await self.ledger.settle([unused_hold(number) for number in held])
        self.give_back(line.key for line in lines.values())
        self.records.drop(lines.values())
