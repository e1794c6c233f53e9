"""Asks every system about every item, scores what was said, and compares the systems."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

from aegis_graph.errors import AegisError
from aegis_graph.routing.application.hooks import SettledAttempt
from scoring.figures import Scores, difference, figure
from scoring.records import ItemRecord, Progress, RecordFile, key_of
from scoring.systems import System

NOTHING: Mapping[str, Any] = {"answer": "", "cited": [], "holds": [], "relations": []}
"""What a system said that raised an error."""


@dataclass
class Meter:
    """Counts calls and tokens by run: hand ``note`` to routers and embeddings."""

    runs: dict[str | None, list[SettledAttempt]] = field(default_factory=lambda: defaultdict(list))

    def note(self, settled: SettledAttempt) -> None:
        """One more call that the ledger has."""
        self.runs[settled.run_id].append(settled)

    def of(self, run_id: str) -> dict[str, Any]:
        """The fields of a record that tell what a run took."""
        calls = self.runs.pop(run_id, [])
        return {
            "calls": len(calls),
            "failed_calls": sum(one.record["status"] != "answered" for one in calls),
            "input_tokens": sum(one.input_tokens or 0 for one in calls),
            "output_tokens": sum(one.output_tokens or 0 for one in calls),
            "cost_usd": f"{sum((Decimal(one.record['cost_usd']) for one in calls), Decimal(0)):f}",
        }


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how."""

    task: str
    model: str
    items: Sequence[Any]
    score: Callable[[Any, Mapping[str, Any]], Scores]
    meter: Meter
    file: RecordFile
    concurrency: int
    max_output_tokens: int

    async def run(self, systems: Sequence[System]) -> list[Side]:
        """Ask every system about all items, a few at once, but for those whose record stands.

        The systems take turns at each item, so a machine that gets slower slows all of them, and a
        run that is stopped has pairs.
        """
        slots = asyncio.Semaphore(self.concurrency)
        progress = Progress(self.task, len(self.items))

        async def one(item: Any) -> list[ItemRecord]:
            async with slots:
                records = [await self._record(system, item) for system in systems]
                progress.tick()
                return records

        by_item = await asyncio.gather(*map(one, self.items))
        return [
            Side(system.name, records, list(map(self._scores, self.items, records)))
            for system, records in zip(systems, zip(*by_item, strict=True), strict=True)
        ]

    def _scores(self, item: Any, record: ItemRecord) -> Scores:
        return self.score(item, {**NOTHING, **record.said})

    async def _record(self, system: System, item: Any) -> ItemRecord:
        record = self.file.found(self._key(system, item))
        if record is None:
            record = await self._ask(system, item)
            self.file.add(record)
        return record

    async def _ask(self, system: System, item: Any) -> ItemRecord:
        run_id = uuid4().hex
        options = {
            "run_id": run_id,
            "sensitivity": "public",
            "max_output_tokens": self.max_output_tokens,
        }
        said: Mapping[str, Any] = {}
        failed, began = None, time.perf_counter()
        try:
            said = await system.ask(item, options)
        except AegisError as error:
            failed = f"{type(error).__name__}: {error}"
        return ItemRecord(
            key=self._key(system, item),
            task=self.task,
            system=system.name,
            model=self.model,
            id=item.id,
            said={key: value for key, value in said.items() if key != "degraded"},
            seconds=round(time.perf_counter() - began, 3),
            failed=failed,
            degraded=said.get("degraded"),
            **self.meter.of(run_id),
        )

    def _key(self, system: System, item: Any) -> str:
        return key_of(
            self.task,
            system.name,
            system.depends_on,
            self.model,
            self.max_output_tokens,
            asdict(item),
        )


@dataclass(frozen=True)
class Side:
    """What one system got."""

    name: str
    records: Sequence[ItemRecord]
    scores: Sequence[Scores]

    @property
    def figures(self) -> dict[str, float | None]:
        """Shares from 0 to 1; ``None`` where no item is about one."""
        return {name: figure(self.scores, name) for name in self.scores[0]}

    @property
    def totals(self) -> dict[str, str]:
        """What it took, as text."""
        records = self.records
        cost = sum((Decimal(one.cost_usd) for one in records), Decimal(0))
        return {
            "items": str(len(records)),
            "not complete": str(sum(bool(one.failed or one.degraded) for one in records)),
            "calls per item": f"{sum(one.calls for one in records) / len(records):.2f}",
            "tokens in": f"{sum(one.input_tokens for one in records):,}",
            "tokens out": f"{sum(one.output_tokens for one in records):,}",
            "cost in USD": f"{cost.normalize():f}",
            "seconds per item": f"{sum(one.seconds for one in records) / len(records):.2f}",
        }


def differences(sides: Sequence[Side]) -> dict[str, dict[str, Any]]:
    """By system and figure: what it has more than the first one; none of the first one itself."""
    first, *others = sides
    return {
        side.name: {name: difference(side.scores, first.scores, name) for name in first.scores[0]}
        for side in others
    }
