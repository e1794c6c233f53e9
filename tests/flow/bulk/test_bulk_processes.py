"""Jobs in processes of their own: several workers, Ctrl-C, a disk that is full."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import override

from aegis_graph import (
    InvalidRequestError,
    RoutedMessagesState,
    RouterConfig,
    StoreError,
    create_bulk,
)
from aegis_graph.bulk.local_engine import WorkerProcesses, WorkPlan
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobIdentity
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.processes import ended, heard, start
from tests.flow.bulk.bulk_support import ANSWER, USD, asked, result_rows
from tests.flow.support import assert_sound, flat_price, make_config, open_router, provider

CITIES = [f"city {number}?" for number in range(60)]
DEADLY = "city 7?"


class OpenRouter:
    """Opens the router in each worker process."""

    def __init__(self, config: RouterConfig) -> None:
        self.config = config

    def __call__(self) -> Any:
        return open_router(self.config)


class DeadlyRouter(OpenRouter):
    """The same, in a process that dies as soon as it has it."""

    @override
    def __call__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class RouterWithDeadlyItem(OpenRouter):
    """The same, in a process that dies when it is asked about one of the cities."""

    @override
    def __call__(self) -> Any:
        router = open_router(self.config)

        async def ask(state: RoutedMessagesState) -> Any:
            if state["messages"][-1].content == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            return await router.ainvoke({"messages": state["messages"]})

        builder = StateGraph(RoutedMessagesState).add_node("ask", ask).add_edge(START, "ask")
        return builder.compile()


@pytest.fixture
def config(server: LoopbackServer, db: Path) -> RouterConfig:
    row = provider(server, "openai", **flat_price(USD), max_retries=0)
    return make_config(server, db, providers=[row], ledger={"busy_timeout_s": 30})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_two_worker_processes_share_the_items_and_the_envelope(
    server: LoopbackServer, config: RouterConfig, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(OpenRouter(config), name="cities", results=folder)
    summary = job.run(CITIES, workers=2, concurrency=4, max_cost_usd="0.04")
    assert (summary.progress.state, summary.progress.done) == ("money_ended", 40)
    assert set(asked(server).values()) == {1}
    assert len(result_rows(folder)) == len(server.calls()) == 40
    assert_sound(db)


def test_a_compiled_graph_cannot_be_sent_to_other_processes(
    config: RouterConfig, folder: Path
) -> None:
    with pytest.raises(InvalidRequestError, match="workers=2 needs the graph as") as refused:
        create_bulk(open_router(config), name="cities", results=folder).run(CITIES, workers=2)
    assert "\n" not in str(refused.value)
    assert not folder.exists()


def test_workers_that_die_again_and_again_end_the_job_in_one_line(
    config: RouterConfig, folder: Path
) -> None:
    queue = WorkQueue(folder, JobIdentity(name="cities"))
    plan = WorkPlan(source=DeadlyRouter(config), folder=str(folder))
    with pytest.raises(StoreError, match="8 workers died one after the other"):
        WorkerProcesses(plan, 2, queue).run()


def test_an_item_that_kills_its_workers_is_set_aside_and_takes_no_other_with_it(
    server: LoopbackServer, config: RouterConfig, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(RouterWithDeadlyItem(config), name="cities", results=folder)
    progress = job.run(CITIES[:20], workers=2, concurrency=4).progress
    assert (progress.done, progress.set_aside, progress.pending) == (19, 1, 0)
    (aside,) = [row for row in result_rows(folder) if row["error"]]
    assert aside["error"] == "each of its workers died while it ran"
    assert DEADLY not in asked(server)
    assert_sound(db)


def run_until_told(config: RouterConfig, folder: Path, pipe: Connection) -> None:
    job = create_bulk(open_router(config), name="cities", results=folder)
    pipe.recv()
    try:
        job.run(CITIES, concurrency=4)
    except KeyboardInterrupt:
        pipe.send("interrupted")


def test_ctrl_c_ends_what_is_under_way_and_keeps_it(
    server: LoopbackServer, config: RouterConfig, db: Path, folder: Path
) -> None:
    started: list[int] = []

    def answer(call: Any) -> Any:
        if len(server.calls()) == 5:
            os.kill(started[0], signal.SIGINT)
        return ANSWER

    server.always("openai", answer)
    process, pipe = start(run_until_told, config, folder)
    assert process.pid is not None
    started.append(process.pid)
    pipe.send("begin")
    assert heard(pipe) == "interrupted"
    assert ended(process) == 0
    arrived = len(server.calls())
    assert len(result_rows(folder)) == arrived < len(CITIES)
    assert_sound(db)
    server.always("openai", ANSWER)
    create_bulk(open_router(config), name="cities", results=folder).run(CITIES)
    assert asked(server) == dict.fromkeys(CITIES, 1)


def fill_the_disk(config: RouterConfig, folder: Path, pipe: Connection) -> None:
    """The limit of a file's size stands in for the disk's end; it holds for all of its files."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    job = create_bulk(open_router(config), name="cities", results=folder)
    limit = 400_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        job.run({"id": n, "messages": [("user", f"{n} {'x' * 2000}?")]} for n in range(500))
    except StoreError as error:
        pipe.send(str(error))
    else:
        pipe.send(None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes, where the tests may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_job_with_one_line_and_loses_no_result(
    server: LoopbackServer, config: RouterConfig, db: Path, small_disk: Path
) -> None:
    folder = small_disk / "results"
    server.always("openai", Reply("Paris " * 2000, input_tokens=1, output_tokens=1))
    job = create_bulk(open_router(config), name="cities", results=folder)
    job.part_rows = 50
    with pytest.raises(StoreError) as refused:
        job.run([f"city {number}?" for number in range(900)], concurrency=8)
    assert "the disk is full" in str(refused.value) or "No space left" in str(refused.value)
    assert "\n" not in str(refused.value)
    queue = WorkQueue.open(folder)
    # Every answer that arrived is kept: the space that was set aside was enough for the last ones.
    assert queue.facts().done == len(server.calls())
    queue.close()
    assert not list(folder.rglob(".*")), "a file was left half-written"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    summary = job.run()
    assert (summary.progress.state, summary.progress.done) == ("finished", 900)
    assert set(asked(server).values()) == {1}
    assert len({row["key"] for row in result_rows(folder)}) == 900


def test_a_disk_that_is_full_at_the_beginning_adds_no_item(
    server: LoopbackServer, config: RouterConfig, folder: Path
) -> None:
    process, pipe = start(fill_the_disk, config, folder)
    says = heard(pipe)
    assert ended(process) == 0
    assert says is not None
    assert "\n" not in says
    assert server.calls() == ()
