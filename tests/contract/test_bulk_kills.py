"""Workers of a job killed at random moments: no result is lost, no money is spent twice unseen.

``AEGIS_TEST_BULK=all`` is the whole scale: 100,000 items, an envelope for 60,000, a kill every ten
seconds; a tenth of the items where something keeps the answers, for two calls each. It takes
minutes, and prints what it saw.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, get_args

import pytest

from aegis_graph import RouterConfig, create_bulk
from aegis_graph.bulk.items import items_of
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobFacts
from aegis_graph.bulk.worker import WorkerSettings
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.testing.loopback.journal import ProtocolName
from tests.contract.bulk_memories import Extracted, Memory, graph_of, inputs, kept_in
from tests.contract.ledger_store import Store
from tests.contract.processes import ended, start
from tests.flow.bulk.bulk_support import prompt, result_rows
from tests.flow.support import flat_price, provider

ALL = os.environ.get("AEGIS_TEST_BULK") == "all"
COST = 1_000_000
"""What an answer costs, and its hold, in nano-USD."""
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1)
JOB = "cities"
KILL_EVERY_S = 10.0
"""Of the whole scale."""
KINDS: tuple[ProtocolName, ...] = ("openai", "ollama")
"""What is played; at the whole scale the one whose client asks less of the processor."""


@dataclass(frozen=True)
class Scale:
    """How large a run is."""

    items: int
    paid: int
    """Answers that the envelope is for."""
    poison: int
    """Of so many items, one is refused by every provider."""
    kills: int
    calls_per_kill: int
    """Between two kills, about so many calls arrive; 0 kills every ten seconds."""
    concurrency: int = 8


SMALL = Scale(items=120, paid=70, poison=40, kills=5, calls_per_kill=12)
SMALL_OF_A_COMPONENT = Scale(items=60, paid=36, poison=20, kills=5, calls_per_kill=8)
WHOLE = Scale(100_000, 60_000, 1_000, kills=10**6, calls_per_kill=0, concurrency=32)
LARGE = Scale(10_000, 3_000, 1_000, kills=10**6, calls_per_kill=0, concurrency=32)


def scale_of(memory: Memory) -> Scale:
    if ALL:
        return WHOLE if memory == "nothing" else LARGE
    return SMALL_OF_A_COMPONENT if memory == "store" else SMALL


@dataclass
class Workers:
    """Two worker processes over one results folder; a killed one is replaced."""

    config: RouterConfig
    folder: Path
    memory: Memory
    scale: Scale
    running: list[tuple[ForkServerProcess, Connection]] = field(default_factory=list)
    most_kb: int = 0

    def start(self) -> None:
        self.running.append(start(work, self.config, self.folder, self.memory, self.scale))

    def kill(self, chance: random.Random) -> bool:
        """Kill one of them; ``False`` where it had ended by itself."""
        process, pipe = self.running.pop(chance.randrange(len(self.running)))
        self.measure(process)
        process.kill()
        how = ended(process)
        pipe.close()
        assert how in {-signal.SIGKILL, 0}
        return how != 0

    def measure(self, process: ForkServerProcess) -> None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            self.most_kb = max(self.most_kb, int(peak.split()[1]))

    def alive(self) -> bool:
        return any(process.is_alive() for process, _ in self.running)

    def wait(self, seconds: float) -> None:
        """Until it is time for the next kill, or both have ended by themselves."""
        pause = threading.Event()
        until = time.monotonic() + seconds
        while self.alive() and time.monotonic() < until:
            pause.wait(0.1)

    def finish(self) -> None:
        for process, pipe in self.running:
            assert ended(process) == 0, pipe.recv() if pipe.poll() else "a worker failed"
        self.running.clear()


def work(
    config: RouterConfig, folder: Path, memory: Memory, scale: Scale, pipe: Connection
) -> None:
    """In a process of its own: work on the job until it stops by itself."""
    graph = graph_of(config, folder, memory)
    settings = WorkerSettings(concurrency=scale.concurrency, first_pause_s=0.01)
    job = create_bulk(graph, name=JOB, results=folder, key="id")
    # All of it has been added before: each process only works.
    job.run(settings=settings, max_attempts=2)
    pipe.close()


def answer(call: Any) -> Any:
    return Fault.status(400) if "poison" in prompt(call) else ANSWER


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        for kind in KINDS:
            server.always(kind, answer)
        yield server


def configure(server: LoopbackServer, url: str, scale: Scale) -> RouterConfig:
    row = provider(server, KINDS[scale is WHOLE], **flat_price(f"{COST / 10**9}"), max_retries=0)
    return RouterConfig.model_validate(
        # Patient: many writers share two cores with the test.
        {"ledger": {"url": url, "busy_timeout_s": 30}, "providers": [row], "budgets": []}
    )


def run_with_kills(workers: Workers, server: LoopbackServer, chance: random.Random) -> int:
    """Kill workers until the job ends by itself; how many were killed at work."""
    scale, killed = workers.scale, 0
    for _ in range(2):
        workers.start()
    for _ in range(scale.kills):
        if scale.calls_per_kill:
            wanted = len(server.calls()) + chance.randint(0, scale.calls_per_kill)
            with suppress(TimeoutError):
                server.wait_for_calls(wanted, timeout_s=30)
        else:
            workers.wait(KILL_EVERY_S)
        if not workers.alive():
            break
        killed += workers.kill(chance)
        workers.start()
    workers.finish()
    return killed


def begin(config: RouterConfig, folder: Path, memory: Memory, scale: Scale) -> int:
    """Add the items, and set the envelope, before any worker is there; its nano-USD."""
    job = create_bulk(graph_of(config, folder, memory), name=JOB, results=folder, key="id")
    envelope = scale.paid * COST * (1 if memory == "nothing" else 2)
    job.run([], max_cost_usd=f"{envelope / 10**9}", settings=WorkerSettings(concurrency=1))
    queue = WorkQueue.open(folder)
    queue.add(items_of(inputs(scale.items, scale.poison, memory), key="id"))
    queue.close()
    return envelope


def assert_books_in_order(store: Store, server: LoopbackServer, envelope: int) -> None:
    """Each call has its row, each row without a call a hold, and all fit into the envelope."""
    server.wait_until_idle()
    calls = Counter("poison" in prompt(call) for call in server.calls())
    rows = store.query(
        "SELECT status, error_type, cost_nano_usd AS cost, hold_nano_usd AS hold FROM requests"
    )
    status = Counter(row["status"] for row in rows)
    open_or_lost = status["reserved"] + status["expired"] + status["cancelled"]
    assert status["failed"] <= calls[True] <= status["failed"] + open_or_lost
    assert status["answered"] <= calls[False] <= status["answered"] + open_or_lost
    assert calls.total() <= len(rows)
    spent = sum(row["cost"] for row in rows)
    held = sum(row["hold"] for row in rows if row["status"] == "reserved")
    (total,) = store.query(
        "SELECT sum(spent_nano_usd) AS spent, sum(held_nano_usd) AS held FROM totals"
        f" WHERE scope = 'tag:bulk={JOB}'"
    )
    assert (int(total["spent"]), int(total["held"])) == (spent, held)
    assert envelope - COST < spent + held <= envelope


def twice_answered(store: Store) -> int:
    """The items of which the same call was answered and paid more than once."""
    rows = store.query(
        "SELECT run_id FROM requests WHERE status IN ('answered', 'expired', 'reserved')"
        " GROUP BY run_id, query_hash HAVING count(*) > 1"
    )
    return len({row["run_id"] for row in rows})


def assert_results_are_whole(folder: Path, facts: JobFacts, scale: Scale) -> None:
    found = result_rows(folder)
    assert len({row["key"] for row in found}) == len(found) == facts.done + facts.set_aside
    assert facts.total == scale.items
    assert facts.done + facts.set_aside + facts.open == scale.items
    assert all(row["error"] is None or row["output"] is None for row in found)
    assert facts.leased == facts.workers == 0


@pytest.mark.parametrize("memory", get_args(Memory))
def test_kill_9_at_random_moments_loses_no_result(
    store: Store, server: LoopbackServer, tmp_path: Path, memory: Memory
) -> None:
    scale, folder = scale_of(memory), tmp_path / "results"
    config = configure(server, store.url, scale)
    if memory == "store":
        extracted = Extracted(kept_in(folder))
        server.always("openai", extracted)
    envelope = begin(config, folder, memory, scale)
    workers = Workers(config, folder, memory, scale)
    began = time.monotonic()
    killed = run_with_kills(workers, server, random.Random(scale.items))
    took = time.monotonic() - began
    queue = WorkQueue.open(folder)
    facts = queue.facts()
    assert killed > 0, "no worker was killed at work: the test has lost its point"
    assert facts.state == "money_ended"
    assert_results_are_whole(folder, facts, scale)
    assert_books_in_order(store, server, envelope)
    assert twice_answered(store) <= facts.twice_items
    if memory == "store":
        assert extracted.bought_again == []
    if memory == "checkpointer":
        # Only what was on its way when a process died can have been bought again.
        settled_twice = store.query(
            "SELECT run_id FROM requests WHERE status = 'answered'"
            " GROUP BY run_id, query_hash HAVING count(*) > 1"
        )
        assert settled_twice == []
    if ALL:
        print(
            f"\n{facts.done} done, {facts.set_aside} set aside, {killed} killed, {took:.0f} s,"
            f" {(facts.done + facts.set_aside) / took:.0f} items/s, at most {facts.twice_items}"
            f" bought twice, {workers.most_kb / 1024:.0f} MB at most"
        )
