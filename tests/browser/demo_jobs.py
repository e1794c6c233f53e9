"""Jobs over many items to look at: one that runs, one whose money ended, one of another machine."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkItem, ItemResult, JobIdentity
from aegis_graph.bulk.register import JobRegister
from aegis_graph.ledger.records import Hold, RequestFacts
from aegis_graph.ledger.settlements import settlement_without_usage
from aegis_graph.types import SettlementRecord
from tests.browser.demo_ledger import DemoLedger, run_apart

COST = 8_250_000
"""Nano-USD of an item."""


def demo_jobs(demo: DemoLedger, folder: Path) -> None:
    """Make the jobs, their results in a folder, as this user's own."""
    for name, total, done, aside, envelope in (
        ("contracts-2026", 400, 244, 3, "5"),
        ("invoices", 90, 52, 0, "0.45"),
    ):
        run_apart(_spend(demo, name, done, envelope))
        _results(demo, folder / name, name, total, done, aside)
    run_apart(_spend(demo, "scans-of-the-archive", 12, None))


async def _spend(demo: DemoLedger, name: str, items: int, envelope: str | None) -> None:
    if envelope is not None:
        await demo.ledger.set_budget(f"tag:bulk={name}", "total", Decimal(envelope))
    for number in range(items + 2):
        facts = RequestFacts(
            route_id=f"{name}-{number}",
            task="extract",
            sensitivity="internal",
            user_id=f"team-{number // 50}",
            thread_id=f"{name}/{number}",
            query_hash=f"{number:064x}",
            run_id=f"{name}/{number}",
            tags=json.dumps({"bulk": name}),
        )
        made = await demo.ledger.admit(
            [
                Hold(
                    request=facts,
                    attempt=1,
                    provider="dashscope",
                    model="qwen-plus",
                    nano_usd=2 * COST,
                    lease_s=120.0,
                    tokens=9000,
                )
            ]
        )
        if made.hold_id is None or number >= items:
            continue
        ended = settlement_without_usage(made.hold_id, "answered")
        paid = {"cost_nano_usd": COST, "cost_basis": "reported", "latency_ms": 900}
        await demo.ledger.settle([cast(SettlementRecord, {**ended, **paid})])


def _results(demo: DemoLedger, folder: Path, name: str, total: int, done: int, aside: int) -> None:
    folder.mkdir(parents=True)
    now, demo.now = demo.now, demo.now - timedelta(seconds=20)
    queue = WorkQueue(folder, JobIdentity(name=name, graph={}), clock=demo.clock)
    queue.add(BulkItem(f"{number}", {"text": f"{number}"}) for number in range(total))
    queue.set_terms(max_attempts=1, envelope_nano_usd=None)
    worker = queue.register(lease_s=86_400.0 * 36_500)
    queue.lease(worker, done + aside + 32)
    queue.finish(
        worker,
        [
            *(
                ItemResult(key=f"{one}", outcome="done", output="{}", cost_nano_usd=COST)
                for one in range(done)
            ),
            *(
                ItemResult(key=f"{one}", outcome="failed", error="no text in it")
                for one in range(done, done + aside)
            ),
        ],
    )
    if not aside:
        queue.leave(worker)
        queue.set_state(
            "money_ended", "the envelope has no room for another item, which needs up to $0.0165"
        )
    queue.close()
    demo.now = now
    JobRegister().remember(name, folder)
