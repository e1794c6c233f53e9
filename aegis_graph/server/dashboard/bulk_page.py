"""``/bulk``: the jobs over many items that the ledger knows, and how far each of them is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.bulk.progress import time_text
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobFacts
from aegis_graph.bulk.register import JobRegister
from aegis_graph.errors import StoreError
from aegis_graph.ledger.activity import ActivityPoint, activity
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.row_selection import RowSelection
from aegis_graph.ledger.totals import Sums
from aegis_graph.pricing.money import usd_text
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.overview_page import BudgetBar, budget_bar
from aegis_graph.server.dashboard.pages import render
from aegis_graph.server.dashboard.pictures import PlainTable, sum_of
from aegis_graph.server.services import ServerServices

TAG = "bulk"
"""The key of the tag that a job's requests have; its value is the job's name."""

SHOWN_JOBS = 50
"""Jobs that the page shows, those that ran last; the file has all."""


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job."""

    name: str
    sums: Sums
    """Of all of its attempts."""
    first_day: str
    last_day: str
    envelope: BudgetBar | None = None
    facts: JobFacts | None = None
    """``None`` where the folder of its results is not known on this machine."""

    def parts(self) -> tuple[int, int]:
        """Of a thousand items, those that are done and those that were set aside."""
        if self.facts is None or not self.facts.total:
            return 0, 0
        done = 1000 * self.facts.done // self.facts.total
        # What is there is seen, however little it is.
        return done, min(1000 - done, -(-1000 * self.facts.set_aside // self.facts.total))

    def to_go(self) -> str:
        """How long the rest takes, where that is known."""
        if self.facts is None or not (self.facts.items_per_s and self.facts.open):
            return ""
        return time_text(self.facts.open / self.facts.items_per_s)

    def per_item_nano_usd(self) -> int | None:
        """What an item cost, rounded up."""
        if self.facts is None or not self.facts.done:
            return None
        return -(-self.sums.spent_nano_usd // self.facts.done)


@dataclass(frozen=True, slots=True)
class BulkPages:
    """The handlers.

    Args:
        services: Of the app.
        register: Says where the results of jobs are.
    """

    services: ServerServices
    register: JobRegister = field(default_factory=JobRegister)

    async def listed(self, request: Request) -> Response:
        """The jobs that ran last."""
        jobs = await self._jobs()
        shown = await asyncio.to_thread(self._with_facts, jobs[:SHOWN_JOBS])
        return await render(
            request,
            self.services,
            "bulk.html",
            title="Jobs",
            tag=TAG,
            jobs=shown,
            number=len(jobs),
            under_way=any(one.facts and one.facts.state == "running" for one in shown),
        )

    async def file(self, request: Request) -> Response:
        """All jobs, as a file."""
        jobs = await asyncio.to_thread(self._with_facts, await self._jobs())
        return csv_answer(job_table(jobs), "aegis-jobs")

    async def _jobs(self) -> list[ShownJob]:
        points = await self.services.ledger.read(activity(f"tag:{TAG}", "day", RowSelection()))
        budgets = {one.scope: one for one in await self.services.ledger.budgets()}
        jobs = list(_jobs_of(points, budgets))
        return sorted(jobs, key=lambda job: (job.last_day, job.first_day, job.name), reverse=True)

    def _with_facts(self, jobs: Sequence[ShownJob]) -> list[ShownJob]:
        return [
            ShownJob(
                job.name, job.sums, job.first_day, job.last_day, job.envelope, self._facts(job.name)
            )
            for job in jobs
        ]

    def _facts(self, name: str) -> JobFacts | None:
        folder = self.register.folder_of(name)
        if folder is None:
            return None
        try:
            queue = WorkQueue.open(folder)
            try:
                facts = queue.facts()
            finally:
                queue.close()
        # A folder that cannot be read is one that is not known: the ledger's figures stand.
        except StoreError:
            return None
        return facts if facts.name == name else None


def _jobs_of(
    points: Sequence[ActivityPoint], budgets: dict[str, BudgetStatus]
) -> Iterator[ShownJob]:
    by_name: dict[str, list[ActivityPoint]] = {}
    for point in points:
        by_name.setdefault(point.name, []).append(point)
    for name, own in by_name.items():
        budget = budgets.get(f"tag:{TAG}={name}")
        yield ShownJob(
            name=name,
            sums=sum_of(own),
            first_day=own[0].time,
            last_day=own[-1].time,
            envelope=None if budget is None else budget_bar(budget),
        )


def job_table(jobs: Sequence[ShownJob]) -> PlainTable:
    """Jobs as a table."""
    columns = ("job", "first_day", "last_day", "spent_usd", "held_usd", "attempts", "failures")
    items = ("state", "items", "done", "failed", "set_aside")
    return PlainTable(
        (*columns, *items),
        tuple(
            (
                job.name,
                job.first_day,
                job.last_day,
                usd_text(job.sums.spent_nano_usd),
                usd_text(job.sums.held_nano_usd),
                job.sums.calls,
                job.sums.failures,
                *_item_cells(job.facts),
            )
            for job in jobs
        ),
    )


def _item_cells(facts: JobFacts | None) -> tuple[str | int | None, ...]:
    if facts is None:
        return (None,) * 5
    return facts.state, facts.total, facts.done, facts.failed, facts.set_aside
