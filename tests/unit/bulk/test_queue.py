from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import InvalidRequestError, StoreError
from aegis_graph.bulk.items import items_of
from aegis_graph.bulk.job_file import FILE
from aegis_graph.bulk.leases import MOST_CRASHES
from aegis_graph.bulk.queue import BATCH, LEASE_S, WorkQueue
from aegis_graph.bulk.records import BulkItem, ItemOutcome, ItemResult, JobIdentity
from aegis_graph.bulk.results import ResultParts

JOB = JobIdentity(name="cities", graph={"models": "a", "nodes": "llm"})


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def queue(tmp_path: Path, watch: Watch) -> Iterator[WorkQueue]:
    queue = WorkQueue(tmp_path / "results", JOB, clock=watch)
    yield queue
    queue.close()


def item(key: str, **changes: Any) -> BulkItem:
    return BulkItem(key, {"question": f"Where is {key}?", **changes})


def result(key: str, outcome: ItemOutcome = "done", **more: Any) -> ItemResult:
    output = '"there"' if outcome == "done" else None
    return ItemResult(key=key, outcome=outcome, output=output, **more)


def keys(queue: WorkQueue, worker: str, count: int = 100) -> list[str]:
    return [one.key for one in queue.lease(worker, count)]


def test_an_item_is_leased_once_and_ends_with_its_result(queue: WorkQueue) -> None:
    assert queue.add([item("oslo"), item("rome")]) == 2
    first, second = queue.register(), queue.register()
    assert keys(queue, first, 1) == ["oslo"]
    assert keys(queue, second) == ["rome"]
    assert keys(queue, first) == []
    queue.finish(first, [result("oslo", cost_nano_usd=7)])
    facts = queue.facts()
    assert (facts.done, facts.leased, facts.total, facts.open) == (1, 1, 2, 1)
    assert (facts.spent_nano_usd, facts.workers, facts.state) == (7, 2, "running")


def test_an_item_that_is_added_again_changes_nothing(queue: WorkQueue) -> None:
    queue.add([item("oslo")])
    worker = queue.register()
    keys(queue, worker)
    queue.finish(worker, [result("oslo")])
    assert queue.add([item("oslo"), item("rome"), item("rome")]) == 1
    assert keys(queue, worker) == ["rome"]


def test_a_known_key_with_another_input_is_refused_and_nothing_is_added(queue: WorkQueue) -> None:
    queue.add([BulkItem("oslo", {"question": "?"}, "a.jsonl:1")])
    many = (item(f"{number}") for number in range(BATCH + 1))
    changed = BulkItem("oslo", {"question": "!"}, "a.jsonl:2")
    with pytest.raises(StoreError, match=r"a\.jsonl:2: the item 'oslo' has another input") as no:
        queue.add([*many, changed])
    assert "\n" not in str(no.value)
    assert queue.facts().total == 1
    assert queue.add([item("rome")]) == 1


def test_an_item_without_a_key_of_its_own_is_known_by_its_place(queue: WorkQueue) -> None:
    queue.add([BulkItem("hash 1", {"question": "?"}, "a.jsonl:1")])
    with pytest.raises(StoreError, match=r"a\.jsonl:1: another item than"):
        queue.add([BulkItem("hash 2", {"question": "!"}, "a.jsonl:1")])
    assert queue.facts().total == 1


def test_two_items_of_one_addition_may_have_one_source(queue: WorkQueue) -> None:
    assert queue.add([BulkItem(key, {"page": key}, "book.pdf") for key in "ab"]) == 2


def test_items_of_an_addition_that_broke_off_are_not_there(queue: WorkQueue) -> None:
    def breaks() -> Iterator[BulkItem]:
        for number in range(BATCH + 5):
            yield item(f"{number}")
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        queue.add(breaks())
    assert queue.facts().total == 0
    assert keys(queue, queue.register()) == []
    assert queue.add([item("0")]) == 1


def test_no_item_is_leased_before_the_last_was_added(queue: WorkQueue) -> None:
    worker, seen = queue.register(), []

    def items() -> Iterator[BulkItem]:
        for number in range(2 * BATCH):
            yield item(f"{number}")
        seen.append(keys(queue, worker, 1))

    queue.add(items())
    assert seen == [[]]
    assert keys(queue, worker, 2) == ["0", "1"]


@pytest.mark.parametrize("thing", [object(), math.nan, -math.inf])
def test_an_input_that_is_no_json_is_refused(queue: WorkQueue, thing: object) -> None:
    with pytest.raises(InvalidRequestError, match="the item 'oslo': is no JSON") as no:
        queue.add([item("oslo", thing={"deep": [thing]})])
    assert "\n" not in str(no.value)
    assert queue.facts().total == 0
    with pytest.raises(InvalidRequestError, match="item 2: is no JSON"):
        queue.add(items_of([{"question": "?"}, {"thing": thing}]))
    assert queue.facts().total == 0


def test_a_failed_item_comes_after_the_others_until_it_is_set_aside(queue: WorkQueue) -> None:
    queue.set_terms(max_attempts=2, envelope_nano_usd=None)
    queue.add([item("bad"), item("good")])
    worker = queue.register()
    assert keys(queue, worker, 1) == ["bad"]
    queue.finish(worker, [result("bad", "failed", error="no")])
    leased = queue.lease(worker, 2)
    assert [(one.key, one.attempts, one.begun) for one in leased] == [("good", 0, 0), ("bad", 1, 1)]
    queue.finish(worker, [result("bad", "failed", error="no"), result("good")])
    facts = queue.facts()
    assert (facts.set_aside, facts.failed, facts.done, facts.open) == (1, 0, 1, 0)
    assert queue.retry() == 1
    assert [one.attempts for one in queue.lease(worker, 2)] == [0]


def test_an_item_that_is_given_back_loses_no_attempt(queue: WorkQueue) -> None:
    queue.add([item("oslo"), item("rome")])
    worker = queue.register()
    queue.lease(worker, 1)
    queue.finish(worker, [result("oslo", "pending", doubtful=True)])
    # Behind the others: it may be why no provider answered.
    assert [(one.key, one.attempts) for one in queue.lease(worker, 9)] == [("rome", 0), ("oslo", 0)]


def test_the_items_of_a_silent_worker_go_to_others(queue: WorkQueue, watch: Watch) -> None:
    queue.add([item("oslo")])
    silent, other = queue.register(), queue.register()
    assert keys(queue, silent) == ["oslo"]
    watch.move(LEASE_S - 1)
    queue.renew(other)
    assert keys(queue, other) == []
    watch.move(2)
    queue.renew(other)
    assert keys(queue, other) == ["oslo"]


def test_a_worker_that_renews_keeps_its_items(queue: WorkQueue, watch: Watch) -> None:
    queue.add([item("oslo")])
    slow, other = queue.register(), queue.register()
    keys(queue, slow)
    for _ in range(3):
        watch.move(LEASE_S - 1)
        assert queue.renew(slow)
        queue.renew(other)
    assert keys(queue, other) == []


def test_a_late_result_counts_and_a_second_one_does_not(queue: WorkQueue, watch: Watch) -> None:
    queue.add([item("oslo")])
    late = queue.register()
    keys(queue, late)
    watch.move(LEASE_S + 1)
    other = queue.register()
    assert keys(queue, other) == ["oslo"]
    queue.finish(late, [result("oslo", cost_nano_usd=5)])
    queue.finish(other, [result("oslo", cost_nano_usd=9)])
    facts = queue.facts()
    assert (facts.done, facts.spent_nano_usd) == (1, 5)


def test_a_late_failure_does_not_end_the_run_of_another_worker(
    queue: WorkQueue, watch: Watch
) -> None:
    queue.add([item("oslo")])
    late = queue.register()
    keys(queue, late)
    watch.move(LEASE_S + 1)
    other = queue.register()
    keys(queue, other)
    queue.finish(late, [result("oslo", "failed", error="late")])
    assert queue.facts().leased == 1


def test_an_item_whose_workers_all_die_is_set_aside(queue: WorkQueue, watch: Watch) -> None:
    queue.add([item("deadly")])
    for _ in range(MOST_CRASHES):
        assert keys(queue, queue.register()) == ["deadly"]
        watch.move(LEASE_S + 1)
    assert keys(queue, queue.register()) == []
    assert queue.facts().set_aside == 1


def test_a_worker_that_leaves_gives_its_items_back(queue: WorkQueue) -> None:
    queue.add([item("oslo")])
    worker = queue.register()
    keys(queue, worker)
    queue.leave(worker)
    assert queue.facts().state == "stopped"
    assert keys(queue, queue.register()) == ["oslo"]


@pytest.fixture
def statements(queue: WorkQueue) -> Iterator[list[str]]:
    """What the queue's file is asked, as it is asked."""
    seen: list[str] = []
    with queue.file.writing() as connection:
        connection.set_trace_callback(seen.append)
    yield seen
    connection.set_trace_callback(None)


def work_on(queue: WorkQueue, parts: ResultParts, count: int) -> None:
    worker = queue.register()
    for one in queue.lease(worker, count):
        done = ItemResult(key=one.key, outcome="done", output="1")
        parts.export_full(queue.exchange(worker, [done], 0).done)
    queue.leave(worker)


def test_what_is_asked_for_each_item_does_not_read_all_of_them(
    queue: WorkQueue, statements: list[str]
) -> None:
    parts = ResultParts(queue, part_rows=2)
    queue.add(item(f"{number}") for number in range(5))
    worker = queue.register()
    statements.clear()
    exchange = queue.exchange(worker, [], 5)
    outcomes: list[ItemOutcome] = ["done", "done", "failed", "pending"]
    for one, outcome in zip(exchange.leased, outcomes, strict=False):
        result = ItemResult(key=one.key, outcome=outcome, output="1")
        parts.export_full(queue.exchange(worker, [result], 1).done)
    asked = [one for one in statements if one.split()[0] in {"SELECT", "UPDATE", "DELETE"}]
    assert any("part = " in one for one in asked)
    with queue.file.reading() as connection:
        plans = {
            step[3]: one
            for one in asked
            for step in connection.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()
        }
    assert "SCAN items" not in plans, plans["SCAN items"]


def test_results_that_wait_for_their_part_are_not_counted_each_time(
    queue: WorkQueue, statements: list[str]
) -> None:
    parts = ResultParts(queue, part_rows=10)
    queue.add(item(f"{number}") for number in range(40))
    work_on(queue, parts, 40)
    counted = sum("count(*)" in one for one in statements)
    # At first, and around each part.
    assert counted <= 1 + 3 * 4 + 1
    assert len(list((queue.folder / "parts").iterdir())) == 4


def test_the_rate_is_of_the_last_half_minute(queue: WorkQueue, watch: Watch) -> None:
    queue.add(item(f"{number}") for number in range(100))
    worker = queue.register()
    for _ in range(10):
        queue.finish(worker, [result(key) for key in keys(queue, worker, 4)])
        watch.move(1)
    assert queue.facts().items_per_s == 4
    watch.move(60)
    assert queue.facts().items_per_s == 0


def test_another_process_reads_the_facts_of_a_job(queue: WorkQueue, tmp_path: Path) -> None:
    queue.add([item("oslo")])
    with closing(WorkQueue.open(tmp_path / "results")) as other:
        assert other.facts().name == "cities"
        assert other.facts().graph == {"models": "a", "nodes": "llm"}


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (JobIdentity(name="towns", graph=JOB.graph), "has the results of the job 'cities'"),
        (JobIdentity(name="cities", graph={"models": "b", "nodes": "llm"}), r"\(models changed\)"),
        (JobIdentity(name="cities", graph=JOB.graph, format="parquet"), "has results as jsonl"),
    ],
)
def test_the_folder_of_something_else_is_refused_in_one_line(
    queue: WorkQueue, tmp_path: Path, job: JobIdentity, says: str
) -> None:
    with pytest.raises(StoreError, match=says) as refused:
        WorkQueue(tmp_path / "results", job)
    assert "\n" not in str(refused.value)
    assert queue.facts().name == "cities"


def test_a_folder_without_a_job_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no job"):
        WorkQueue.open(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is no job's file"):
        WorkQueue(tmp_path, JOB)
    assert path.read_bytes() == before


def test_only_the_owner_can_read_the_file(queue: WorkQueue, tmp_path: Path) -> None:
    assert (tmp_path / "results" / FILE).stat().st_mode & 0o077 == 0
