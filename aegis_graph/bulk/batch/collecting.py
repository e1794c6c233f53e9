"""The answers of a batch that has ended become results of items, each settled by its cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from itertools import islice

from aegis_graph.bulk.batch.answers import (
    LineAnswer,
    answers_in,
    continuation,
    missing,
    unserved,
)
from aegis_graph.bulk.batch.batch_items import PutBack
from aegis_graph.bulk.batch.filling import CHUNK
from aegis_graph.bulk.batch.records import BatchRecord, LineRecord
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.item_run import ItemEnd
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.errors import ProviderError
from aegis_graph.providers.http.recorded import RecordedResponse

logger = logging.getLogger(__name__)


class BatchCollector:
    """Reads the answers of batches.

    Args:
        run: The job's batches.
    """

    def __init__(self, run: BatchRun) -> None:
        self._run = run
        self._places = asyncio.Semaphore(run.concurrency)

    async def collect(self, batch: BatchRecord) -> list[PutBack]:
        """Take each request of a batch on from its answer, and forget the batch.

        A line that was not served, or not well, is asked again without a batch, within the same
        budgets; in a job that was cancelled it is given back.

        Returns:
            The items that were put back.

        Raises:
            LedgerError: The ledger cannot be written; what is left is done when the job goes on.
        """
        back: list[PutBack] = []
        answers, stop = self._answers(batch), self._run.stop
        while not stop.is_set() and (some := dict(islice(answers, CHUNK))):
            back += await self._chunk(batch, some)
        records, rest = self._run.records, _of_the_rest(batch)
        while not stop.is_set() and (left := records.lines(batch.number, most=CHUNK)):
            back += await self._chunk(batch, dict.fromkeys(left, rest))
        if not records.lines(batch.number, most=1):
            await self._forget(batch)
        return back

    def _answers(self, batch: BatchRecord) -> Iterator[tuple[str, LineAnswer]]:
        provider = self._run.provider(batch)
        assert provider is not None, "looked up before the batch ended"
        assert provider.batch_files is not None, "opened for batches"
        for kind in ("answered", "failed"):
            path = self._run.file(batch, kind)
            if path.exists():
                yield from answers_in(path, free_errors=provider.batch_files.free_errors)

    async def _chunk(self, batch: BatchRecord, said: Mapping[str, LineAnswer]) -> list[PutBack]:
        run = self._run
        lines = run.records.lines(batch.number, list(said))
        items = run.records.items([line.key for line in lines.values()]) if lines else {}
        released = run.is_cancelled
        kept = {
            custom_id: line
            for custom_id, line in lines.items()
            if line.key in items and not (released and _is_unanswered(said[custom_id]))
        }
        await run.items.begin({line.key: line.hold_id or 0 for line in kept.values()})
        ends = await asyncio.gather(
            *(
                self._end(batch, line, items[line.key], said[custom_id])
                for custom_id, line in kept.items()
            )
        )
        put_back = await run.items.keep(ends)
        run.records.drop(kept.values())
        rest = {name: line for name, line in lines.items() if name not in kept}
        # Of those the items are others' by now, or the job is over.
        await run.release(rest)
        return put_back

    async def _end(
        self, batch: BatchRecord, line: LineRecord, item: LeasedItem, said: LineAnswer
    ) -> ItemEnd:
        provider = self._run.provider(batch)
        assert provider is not None, "looked up before the batch ended"
        sent_at = batch.submitted_at
        waited_s = 0.0 if sent_at is None else (self._run.clock() - sent_at).total_seconds()
        invoke = continuation(self._run.router, provider, line, said, max(0.0, waited_s))
        async with self._places:
            return await self._run.items.run(item, invoke)

    async def _forget(self, batch: BatchRecord) -> None:
        """Drop what is known of a batch, here and, where it can be, at its provider."""
        provider = self._run.provider(batch)
        assert provider is not None, "looked up before the batch ended"
        for file_id in filter(None, (batch.file_id, batch.output_id, batch.error_id)):
            try:
                await self._run.service(provider).delete(file_id)
            except ProviderError as error:
                logger.warning("batch %s of %s: %s", batch.name, batch.provider, error)
        self._run.drop_files(batch)
        self._run.records.forget(batch.number)


def _is_unanswered(said: LineAnswer) -> bool:
    """Whether nothing was bought."""
    if isinstance(said, RecordedResponse):
        return said.status >= 400
    return not said.outcome_unknown


def _of_the_rest(batch: BatchRecord) -> ProviderError:
    """What is known of a line of which no file says anything."""
    if batch.status == "completed":
        return missing()
    return unserved(batch.reason or f"batch_{batch.status}")
