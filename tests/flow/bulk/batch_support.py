"""A job over a router whose providers take batches, all of it played on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.bulk.batch.batch_items import BatchItems
from aegis_graph.bulk.batch.buyer import BatchBuyer, Bought
from aegis_graph.bulk.batch.lines import LineWriter
from aegis_graph.bulk.batch.records import BatchRecords
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import find_parts
from aegis_graph.bulk.item_run import GraphRunner
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkItem, JobIdentity
from aegis_graph.bulk.results import ResultParts
from aegis_graph.bulk.writing import ResultWriter
from aegis_graph.clock import utc_now
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.ledger_store import Store
from tests.flow.support import open_router, provider

JOB = "cities"
PRICE = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}
HALF = {"batch": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "5"}}
ANSWER = Reply("It is Ulm.", input_tokens=10, output_tokens=5)
AT_HALF, AT_FULL = 10 * 1_000 + 5 * 5_000, 10 * 2_000 + 5 * 10_000
"""What the answer costs in a batch and without one, in nano-USD."""
KINDS = ("openai", "dashscope")

Pause = Callable[[float], Awaitable[None]]


def row(server: LoopbackServer, kind: str = "openai", **changes: Any) -> dict[str, Any]:
    """A provider that takes batches."""
    if kind == "dashscope":
        return provider(server, kind, **{"price": PRICE, **changes})
    price = {**PRICE, "service_tiers": HALF}
    return provider(server, kind, **{"price": price, **changes})


def items(count: int, **more: Any) -> list[BulkItem]:
    """Questions, each of which says its key."""
    return [
        BulkItem(key, {"messages": [{"role": "user", "content": f"city {key}?"}], **more})
        for key in (f"k{number}" for number in range(count))
    ]


async def at_once(seconds: float) -> None:
    """In place of a wait between two looks: other tasks have their turn."""
    await asyncio.sleep(0)


def said(output: Any) -> dict[str, Any]:
    """What is kept of an answer: its text, and who was asked."""
    return {
        "text": output["messages"][-1].text,
        "asked": [(one["provider"], one.get("tier")) for one in output["attempts"]],
    }


@dataclass
class Job:
    """A job in a folder, which one process after the other works on."""

    server: LoopbackServer
    store: Store
    folder: Path
    chain: Sequence[dict[str, Any]]
    envelope_usd: str | None = None
    router_options: dict[str, Any] = field(default_factory=dict)
    money: list[JobLedger] = field(default_factory=list)

    def open(self) -> WorkQueue:
        return WorkQueue(self.folder / "results", JobIdentity(name=JOB))

    def ledger(self) -> SqlLedger:
        ledger = create_ledger(self._config())
        self.store.opened.append(ledger)
        return ledger

    def _config(self) -> RouterConfig:
        limit = {"scope": f"tag:bulk={JOB}", "window": "total", "limit_usd": self.envelope_usd}
        budgets = [] if self.envelope_usd is None else [limit]
        return RouterConfig.model_validate(
            {"ledger": {"url": self.store.url}, "providers": self.chain, "budgets": budgets}
        )

    def run(self, queue: WorkQueue, ledger: SqlLedger, **changes: Any) -> BatchRun:
        router = open_router(self._config(), ledger=ledger, **self.router_options)
        money = JobLedger(ledger, JOB)
        self.money.append(money)
        runner = GraphRunner(find_parts(router), money, select=said)
        writer = ResultWriter(queue, money, keeps_answers=False, began=utc_now())
        values = {
            "job": JOB,
            "queue": queue,
            "records": BatchRecords(queue.file, utc_now),
            "router": router,
            "writer": LineWriter(router),
            "ledger": ledger,
            "items": BatchItems(runner, writer, money, ResultParts(queue)),
            "clock": utc_now,
            "concurrency": 4,
            "stop": asyncio.Event(),
        }
        return BatchRun(**{**values, **changes})

    async def buy(
        self, inputs: Iterable[BulkItem] = (), *, pause: Pause = at_once, **changes: Any
    ) -> Bought:
        """Work on the job as one process that is never heard of again."""
        queue, ledger = self.open(), self.ledger()
        try:
            queue.add(inputs)
            return await BatchBuyer(self.run(queue, ledger, **changes), pause).buy()
        finally:
            self.close(queue, ledger)

    def close(self, queue: WorkQueue, ledger: SqlLedger) -> None:
        """Let go of what a process has open."""
        queue.close()
        while self.money:
            self.money.pop().close()
        ledger.close()

    def outputs(self) -> dict[str, Any]:
        """What the items with a result say, by their keys."""
        queue = self.open()
        with queue.file.reading() as connection:
            rows = connection.execute(
                "SELECT key, output FROM items WHERE state = 'done'"
            ).fetchall()
        queue.close()
        return {key: json.loads(output) for key, output in rows}

    def states(self) -> dict[str, str]:
        """The state of each item."""
        queue = self.open()
        with queue.file.reading() as connection:
            rows = connection.execute("SELECT key, state FROM items").fetchall()
        queue.close()
        return dict(rows)

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows of calls, in order."""
        made = self.store.query("SELECT * FROM requests ORDER BY id")
        return [one for one in made if (one["status"], one["cost_basis"]) != ("cancelled", "none")]

    def lines(self) -> list[str]:
        """The names of all lines that were played, as often as they were."""
        return [str(call.custom_id) for call in self.server.calls() if call.batch_id is not None]

    def assert_in_order(self) -> None:
        """No hold is open, and the totals are the sums of the rows."""
        assert self.store.query("SELECT id FROM requests WHERE status = 'reserved'") == []
        (total,) = self.store.query(
            "SELECT sum(spent_nano_usd) AS spent, sum(held_nano_usd) AS held FROM totals"
            f" WHERE scope = 'tag:bulk={JOB}'"
        )
        spent = sum(one["cost_nano_usd"] for one in self.rows())
        assert (int(total["spent"] or 0), int(total["held"] or 0)) == (spent, 0)
