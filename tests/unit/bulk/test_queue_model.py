"""Any order of what workers may do: the queue agrees with a model that is a dictionary."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from aegis_graph.bulk.leases import ALONE, MOST_CRASHES
from aegis_graph.bulk.queue import LEASE_S, WorkQueue
from aegis_graph.bulk.records import BulkItem, ItemOutcome, ItemResult, JobIdentity

MOST_ATTEMPTS = 2


class _Item:
    def __init__(self) -> None:
        self.state = "pending"
        self.attempts = self.crashes = 0
        self.worker: str | None = None


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2026, 11, 29, tzinfo=UTC)
        self.queue = self.opened()
        self.queue.set_terms(max_attempts=MOST_ATTEMPTS, envelope_nano_usd=None)
        self.items: dict[str, _Item] = {}
        # In the order of their registration: their names are chosen by chance, in no run the same.
        self.workers: dict[str, datetime] = {}

    def opened(self) -> WorkQueue:
        job = JobIdentity(name="model")
        return WorkQueue(Path(self.folder.name), job, clock=lambda: self.now)

    @override
    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()

    @rule(numbers=st.sets(st.integers(0, 12), max_size=5))
    def add(self, numbers: set[int]) -> None:
        keys = [str(number) for number in numbers]
        new = [key for key in keys if key not in self.items]
        assert self.queue.add(BulkItem(key, {"n": key}) for key in keys) == len(new)
        self.items |= {key: _Item() for key in new}
        self.free_the_silent()

    @rule()
    def register(self) -> None:
        self.workers[self.queue.register()] = self.now + timedelta(seconds=LEASE_S)
        self.free_the_silent()

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), count=st.integers(1, 4))
    def lease(self, data: st.DataObject, count: int) -> None:
        worker = data.draw(st.sampled_from([*self.workers]))
        leased = self.queue.lease(worker, count)
        free = [one for one in self.items.values() if one.state in {"pending", "failed"}]
        held = [one for one in self.items.values() if one.worker == worker]
        calm = sum(one.crashes < ALONE for one in free)
        if any(one.crashes >= ALONE for one in held):
            assert leased == []
        elif calm or held:
            assert len(leased) == min(count, calm)
            assert all(self.items[item.key].crashes < ALONE for item in leased)
        else:
            assert len(leased) == min(1, len(free))
        for item in leased:
            model = self.items[item.key]
            assert (model.state in {"pending", "failed"}, model.attempts) == (True, item.attempts)
            model.state, model.worker = "leased", worker

    @precondition(lambda self: any(one.state == "leased" for one in self.items.values()))
    @rule(data=st.data(), outcome=st.sampled_from(["done", "failed", "pending"]))
    def finish(self, data: st.DataObject, outcome: ItemOutcome) -> None:
        key = data.draw(
            st.sampled_from(sorted(k for k, one in self.items.items() if one.state == "leased"))
        )
        worker = data.draw(st.sampled_from([*self.workers] or ["gone"]))
        output = "1" if outcome == "done" else None
        self.queue.finish(worker, [ItemResult(key=key, outcome=outcome, output=output)])
        model = self.items[key]
        if outcome == "done":
            model.state, model.attempts, model.worker = "done", model.attempts + 1, None
        elif worker == model.worker:
            model.attempts += outcome == "failed"
            failed = "set_aside" if model.attempts >= MOST_ATTEMPTS else "failed"
            model.state, model.worker = (failed if outcome == "failed" else "pending"), None

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([*self.workers]))
        self.queue.leave(worker)
        del self.workers[worker]
        for model in self.items.values():
            if model.worker == worker:
                model.state, model.worker = "pending", None

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), seconds=st.integers(1, 50))
    def time_passes(self, data: st.DataObject, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        worker = data.draw(st.sampled_from([*self.workers]))
        self.queue.renew(worker)
        self.workers[worker] = self.now + timedelta(seconds=LEASE_S)
        self.free_the_silent()

    @rule()
    def retry(self) -> None:
        aside = [one for one in self.items.values() if one.state == "set_aside"]
        assert self.queue.retry() == len(aside)
        for model in aside:
            model.state, model.attempts, model.crashes = "pending", 0, 0

    @rule()
    def open_again(self) -> None:
        self.queue.close()
        self.queue = self.opened()

    @invariant()
    def counts_agree(self) -> None:
        facts = self.queue.facts()
        for state in ("pending", "leased", "done", "failed", "set_aside"):
            number = sum(one.state == state for one in self.items.values())
            assert getattr(facts, state) == number, state
        assert facts.total == len(self.items)

    def free_the_silent(self) -> None:
        for worker in [one for one, until in self.workers.items() if until <= self.now]:
            del self.workers[worker]
            for model in self.items.values():
                if model.worker == worker:
                    model.crashes += 1
                    dead = model.crashes >= MOST_CRASHES
                    model.state, model.worker = "set_aside" if dead else "pending", None


TestQueueModel = QueueMachine.TestCase
TestQueueModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
