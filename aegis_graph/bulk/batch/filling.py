"""Items become lines of batch files, each with a reservation that the ledger has made first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple
from uuid import uuid4

from aegis_graph.bulk.batch.lines import BatchLine
from aegis_graph.bulk.batch.records import HOLDER, BatchRecord, LineRecord
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.ledger.private_file import make_private
from aegis_graph.ledger.records import Admission, BudgetRefusal

CHUNK = 200
"""Items that are looked at together: their reservations share the ledger's transactions."""

FIRST_CHUNK = 8
"""The same at first: where an envelope is nearly used up, few are looked at in vain."""


class Filled(NamedTuple):
    """What came of the items that were looked at."""

    lines: int
    """How many are lines now."""
    unbatched: list[LeasedItem]
    """Those that are asked without a batch."""
    full: str | None = None
    """Why the job's envelope has no room for the next one, where it has none."""


@dataclass(slots=True)
class _OpenFile:
    """A batch whose file is being written."""

    batch: BatchRecord
    stream: BinaryIO
    most_lines: int
    most_bytes: int
    lines: int = 0
    """That have a place in it."""
    bytes: int = 0
    written: int = 0

    def take(self, line: BatchLine) -> bool:
        """Give a line a place, where there is one."""
        if self.lines >= self.most_lines or self.bytes + len(line.text) > self.most_bytes:
            return False
        self.lines, self.bytes = self.lines + 1, self.bytes + len(line.text)
        return True


class _Place(NamedTuple):
    """A line that waits for its reservation."""

    item: LeasedItem
    line: BatchLine
    file: _OpenFile
    record: LineRecord


@dataclass(slots=True)
class BatchFiller:
    """Fills the files of batches, one for each provider at a time.

    Args:
        run: The job's batches.
    """

    run: BatchRun
    _open: dict[str, _OpenFile] = field(default_factory=dict)
    _files: list[_OpenFile] = field(default_factory=list)

    async def fill(self, *, most_unbatched: int) -> Filled:
        """Take items until there are no more, or no room for them; the files are whole then.

        Args:
            most_unbatched: About how many may be found that go in no batch.

        Raises:
            LedgerError: The ledger cannot be used.
            StoreError: The job's file cannot be written.
        """
        filled, count = Filled(0, []), FIRST_CHUNK
        try:
            while filled.full is None and len(filled.unbatched) < most_unbatched:
                items = self.run.queue.lease(HOLDER, count)
                count = min(2 * count, CHUNK)
                if not items:
                    break
                found = await self._chunk(items)
                unbatched = [*filled.unbatched, *found.unbatched]
                filled = Filled(filled.lines + found.lines, unbatched, found.full)
            for file in self._files:
                self._finish(file)
        finally:
            # After an error their batches are not whole, and are given up when the job goes on.
            for file in self._files:
                file.stream.close()
            self._files, self._open = [], {}
        return filled

    async def _chunk(self, items: Sequence[LeasedItem]) -> Filled:
        places, unbatched = [], []
        for item in items:
            config = self.run.items.config_of(item.key)
            line = await self.run.writer.write(item.key, item.input, config)
            if line is None:
                unbatched.append(item)
            else:
                places.append(self._place(item, line))
        # Before the reservations: after a crash they are found by the requests' identifiers.
        self.run.records.put(place.record for place in places)
        admissions = await asyncio.gather(
            *(self.run.ledger.admit([place.line.hold]) for place in places)
        )
        decided = list(zip(places, admissions, strict=True))
        self._write((place, one) for place, one in decided if one.hold_id is not None)
        refused = [(place, one) for place, one in decided if one.hold_id is None]
        self.run.records.drop(place.record for place, _ in refused)
        whys = [self._full_envelope(one) for _, one in refused]
        full = [place.item for (place, _), why in zip(refused, whys, strict=True) if why]
        self.run.give_back(item.key for item in full)
        # What another budget has no room for may have another provider.
        unbatched += [place.item for (place, _), why in zip(refused, whys, strict=True) if not why]
        return Filled(len(places) - len(refused), unbatched, next(filter(None, whys), None))

    def _place(self, item: LeasedItem, line: BatchLine) -> _Place:
        name = line.provider.spec.name
        file = self._open.get(name)
        if file is None or not file.take(line):
            file = self._open[name] = self._new_file(line)
            file.take(line)
        request = line.hold.request
        record = LineRecord(file.batch.number, line.custom_id, item.key, request.route_id)
        return _Place(item, line, file, record)

    def _new_file(self, line: BatchLine) -> _OpenFile:
        files = line.provider.batch_files
        assert files is not None, "opened for batches"
        batch = self.run.records.begin(f"aegis-{uuid4().hex}", line.provider.spec.name)
        path = self.run.file(batch, "asked")
        path.parent.mkdir(exist_ok=True)
        make_private(path)
        opened = _OpenFile(batch, path.open("wb"), files.most_lines, files.most_bytes)
        self._files.append(opened)
        return opened

    def _write(self, admitted: Iterable[tuple[_Place, Admission]]) -> None:
        held = []
        for place, admission in admitted:
            hold = place.line.hold
            admitted_at = self.run.clock().isoformat()
            held.append(
                place.record._replace(
                    hold_id=admission.hold_id, nano_usd=hold.nano_usd, admitted_at=admitted_at
                )
            )
            place.file.stream.write(place.line.text)
            place.file.written += 1
        self.run.records.put(held)

    def _finish(self, file: _OpenFile) -> None:
        if not file.written:
            self.run.drop_files(file.batch)
            self.run.records.forget(file.batch.number)
            return
        file.stream.flush()
        os.fsync(file.stream.fileno())
        self.run.records.advance(file.batch.number, "written")

    def _full_envelope(self, admission: Admission) -> str | None:
        """Why the job's own budget had no room, where that was in the way."""
        refusals = [one for one in admission.refusals if isinstance(one, BudgetRefusal)]
        full = [each for one in refusals for each in (one, *one.others)]
        return next((one.reason() for one in full if one.scope == self.run.envelope), None)
