"""Jobs on a real Ray cluster of this host: actors and the head are killed, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_bulk, create_ledger, create_router
from aegis_graph.errors import InvalidRequestError, LedgerError
from aegis_graph.testing import LoopbackServer
from tests.contract.bulk_on_ray import (
    COST,
    DEADLY,
    JOB,
    PROGRAM,
    actors,
    assert_journal_is_ledger,
    configure,
    deadly_opener,
    opener,
    processes_below,
    questions,
    results,
)
from tests.contract.ledger_store import empty_store
from tests.flow.support import KEYS, eventually

ray = pytest.importorskip("ray", reason="needs pip install 'aegis-graph[ray]'")

ROOT = Path(__file__).parents[2]
WAIT_S = 300.0
"""Generous: how long a cluster may take to start or to end."""
ON_RAY: dict[str, Any] = {"engine": "ray", "workers": 2, "concurrency": 4}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One for all tests of this file, as an application has it that has joined one itself."""
    from aegis_graph.bulk.ray_cluster import connect  # noqa: PLC0415  # it needs the extra

    assert connect(2)
    yield
    ray.shutdown()


def job_over(config: str, folder: Path, **more: Any) -> Any:
    build = opener(config, str(folder))
    return create_bulk(build, name=JOB, results=folder / "results", key="key", **more)


@pytest.mark.usefixtures("cluster")
async def test_actors_share_one_envelope_and_one_that_is_killed_loses_nothing(
    postgres_url: str, server: LoopbackServer, tmp_path: Path
) -> None:
    store = empty_store("postgres", tmp_path, postgres_url)
    job = job_over(configure(server, store.url), tmp_path)
    running = asyncio.create_task(job.arun(questions(80), max_cost_usd=usd(60), **ON_RAY))
    await asyncio.to_thread(server.wait_for_calls, 20, timeout_s=WAIT_S)
    os.kill(actors(tmp_path)[0], signal.SIGKILL)
    stopped = (await running).progress

    assert stopped.state == "money_ended"
    # What the dead one held stays held, because its calls may have been billed.
    assert 60 - ON_RAY["concurrency"] <= stopped.done < 60
    assert assert_journal_is_ledger(server, store).total() <= 60

    finished = (await job.arun(max_cost_usd=usd(200), **ON_RAY)).progress
    assert (finished.state, finished.done, finished.total) == ("finished", 80, 80)
    assert results(tmp_path).keys() == {one["key"] for one in questions(80)}
    asked = assert_journal_is_ledger(server, store)
    assert len(asked) == 80
    # Those that were under way in the actor; what is said covers them.
    twice = asked.total() - len(asked)
    assert twice <= finished.bought_twice_at_most <= ON_RAY["concurrency"]


@pytest.mark.usefixtures("cluster")
async def test_an_item_that_kills_its_actor_each_time_is_set_aside_and_stops_no_other(
    server: LoopbackServer, tmp_path: Path
) -> None:
    store = empty_store("sqlite", tmp_path)
    graph = deadly_opener(configure(server, store.url))
    job = create_bulk(graph, name=JOB, results=tmp_path / "results", key="key")
    ended = (await job.arun(questions(20), max_attempts=1, **ON_RAY)).progress

    assert (ended.state, ended.done, ended.set_aside) == ("finished", 19, 1)
    found = results(tmp_path)
    assert found[DEADLY]["error"] == "RuntimeError: each of its workers died while it ran"
    assert {row["error"] for key, row in found.items() if key != DEADLY} == {None}
    # Only those that ran beside it when its first actor died may have been bought again.
    asked = assert_journal_is_ledger(server, store)
    assert DEADLY not in asked
    assert asked.total() - 19 <= ended.bought_twice_at_most < ON_RAY["concurrency"]


@pytest.mark.usefixtures("cluster")
async def test_a_graph_that_is_another_one_in_the_actors_is_refused(
    server: LoopbackServer, tmp_path: Path
) -> None:
    config, here = configure(server, f"sqlite:///{tmp_path}/costs.db"), os.getpid()

    def opened() -> Any:
        there = config if os.getpid() == here else config.replace("gpt-4o", "gpt-4o-mini")
        return create_router(RouterConfig.model_validate_json(there), environ=KEYS)

    job = create_bulk(opened, name=JOB, results=tmp_path / "results", key="key")
    with pytest.raises(InvalidRequestError, match=r"models on .* is not what it is here"):
        await job.arun(questions(3), **ON_RAY)
    assert server.calls() == ()


@pytest.mark.usefixtures("cluster")
async def test_what_an_actor_cannot_open_is_said_as_it_is(
    server: LoopbackServer, tmp_path: Path
) -> None:
    config, here = configure(server, f"sqlite:///{tmp_path}/costs.db"), os.getpid()

    def opened() -> Any:
        if os.getpid() != here:
            raise FileNotFoundError("there is no corpus on this host")
        return create_router(RouterConfig.model_validate_json(config), environ=KEYS)

    job = create_bulk(opened, name=JOB, results=tmp_path / "results", key="key")
    with pytest.raises(FileNotFoundError, match="there is no corpus on this host"):
        await job.arun(questions(3), **ON_RAY)
    assert job.status().pending == 3


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("victim", ["driver", "head"])
async def test_a_job_goes_on_after_the_driver_or_the_head_was_killed(
    victim: str, server: LoopbackServer, tmp_path: Path
) -> None:
    store = empty_store("sqlite", tmp_path)
    config = configure(server, store.url)
    # Ray ends a driver whose head stays away for a minute by default.
    environ = {"PYTHONPATH": str(ROOT), "RAY_gcs_rpc_server_reconnect_timeout_s": "1"}
    driver = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, config, str(tmp_path)),
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    await asyncio.to_thread(server.wait_for_calls, 30, timeout_s=WAIT_S)
    for number in [driver.pid] if victim == "driver" else processes_below(driver.pid):
        os.kill(number, signal.SIGKILL)
    assert await driver.wait() != 0
    # Those of a driver that is gone are ended by Ray.
    ended = partial(eventually, lambda: not actors(tmp_path), goal="no actor is left")
    await asyncio.to_thread(ended)
    progress = (await job_over(config, tmp_path).arun(**ON_RAY)).progress

    assert (progress.state, progress.done) == ("finished", progress.total)
    assert results(tmp_path).keys() == {one["key"] for one in questions(progress.total)}
    asked = assert_journal_is_ledger(server, store)
    assert len(asked) == progress.total
    assert asked.total() - len(asked) <= progress.bought_twice_at_most <= 2 * ON_RAY["concurrency"]


def usd(answers: int) -> str:
    return f"{answers * COST / 10**9}"


def test_a_file_is_no_ledger_of_several_hosts(tmp_path: Path) -> None:
    from aegis_graph.bulk.ray_engine import refuse_file  # noqa: PLC0415  # it needs the extra

    def ledger(url: str) -> Any:
        return create_ledger(RouterConfig.model_validate({"ledger": {"url": url}}))

    file, server = ledger(f"sqlite:///{tmp_path}/costs.db"), ledger("postgresql://db/costs")
    refuse_file(file, {"127.0.0.2"})
    refuse_file(server, {"10.0.0.1", "10.0.0.2"})
    with pytest.raises(LedgerError, match=r"Set ledger\.url to a PostgreSQL database"):
        refuse_file(file, {"10.0.0.1", "10.0.0.2"})


async def test_a_compiled_graph_is_not_sent(server: LoopbackServer, tmp_path: Path) -> None:
    config = configure(server, f"sqlite:///{tmp_path}/costs.db")
    job = create_bulk(opener(config, str(tmp_path))(), name=JOB, results=tmp_path / "results")
    with pytest.raises(InvalidRequestError, match="give the job a function that returns it"):
        await job.arun(["city 1?"], **ON_RAY)


async def test_another_engine_is_refused(server: LoopbackServer, tmp_path: Path) -> None:
    job = job_over(configure(server, f"sqlite:///{tmp_path}/costs.db"), tmp_path)
    with pytest.raises(InvalidRequestError, match="engine: 'dask' is unknown"):
        await job.arun(questions(1), engine="dask")


def test_without_ray_the_error_says_how_to_get_it() -> None:
    program = "import sys; sys.modules['ray'] = None; import aegis_graph.bulk.ray_engine"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "engine='ray' needs: pip install 'aegis-graph[ray]'"
    )
