"""A job at half the price: by the tier of each call, or by batches that outlive its process."""

from __future__ import annotations

import asyncio
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import InvalidRequestError, create_bulk
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.processes import ended, heard, start
from tests.flow import half_price_support
from tests.flow.bulk.batch_support import ANSWER, AT_FULL, AT_HALF, row
from tests.flow.bulk.bulk_support import result_rows
from tests.flow.support import DUST_S, KEYS, assert_sound, make_config, open_router, rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def cities(count: int) -> list[str]:
    return [f"city {number}?" for number in range(count)]


def job_of(server: LoopbackServer, db: Path, folder: Path, **changes: Any) -> Any:
    router = open_router(make_config(server, db, providers=[row(server, **changes)]))
    return create_bulk(router, name="cities", results=folder)


def names(server: LoopbackServer) -> list[str | None]:
    """The names of the lines that were played."""
    return [call.custom_id for call in server.calls() if call.batch_id is not None]


def test_a_job_in_batches_costs_half(server: LoopbackServer, db: Path, folder: Path) -> None:
    server.always("openai", lambda call: Reply("Ulm", input_tokens=10, output_tokens=5))
    summary = job_of(server, db, folder).run(cities(20), max_cost_usd="1", tier="batch")
    assert (summary.progress.state, summary.progress.done) == ("finished", 20)
    assert summary.progress.spent_nano_usd == 20 * AT_HALF
    found = result_rows(folder)
    assert {(one["cost_usd"], one["error"], one["attempts"]) for one in found} == {
        ("0.000035", None, 1)
    }
    assert sorted(filter(None, names(server))) == sorted(one["key"] for one in found)
    assert {one["output"]["attempts"][0]["tier"] for one in found} == {"batch"}
    routes = {one["route_id"] for one in rows(db)}
    assert {route for one in found for route in one["route_ids"]} == routes
    assert_sound(db)
    # Run again, there is nothing to do.
    again = job_of(server, db, folder).run(cities(20), tier="batch")
    assert (len(server.calls()), again.progress.done) == (20, 20)


def test_each_call_of_a_job_is_asked_in_flex(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", half_price_support.ANSWER)
    chain = [half_price_support.row(server)]
    router = open_router(make_config(server, db, providers=chain))
    job = create_bulk(router, name="cities", results=folder)
    summary = job.run(cities(5), tier="flex")
    assert half_price_support.tiers_sent(server) == ["flex"] * 5
    assert summary.progress.spent_nano_usd == 5 * half_price_support.AT_FLEX


def test_the_money_ends_by_itself_and_goes_on_with_more(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = job_of(server, db, folder, max_output_tokens=10)
    first = job.run(cities(9), max_cost_usd="0.0002", tier="batch").progress
    assert first.state == "money_ended"
    assert first.reason.startswith("budget tag:bulk=cities per total: needs up to $")
    assert 0 < first.done < 9
    assert first.spent_nano_usd == first.done * AT_HALF <= 200_000
    last = job.run(max_cost_usd="1", tier="batch").progress
    assert (last.state, last.done, last.spent_nano_usd) == ("finished", 9, 9 * AT_HALF)
    assert len(names(server)) == 9
    assert_sound(db)


def work_until_killed(config: Any, folder: Path, pipe: Connection) -> None:
    """Begin a job in batches, and wait for them."""
    router = open_router(config)
    pipe.send("ready")
    create_bulk(router, name="cities", results=folder).run(cities(5), tier="batch")


@pytest.mark.parametrize("tier", ["batch", None])
def test_batches_outlive_the_process_that_sent_them(
    server: LoopbackServer, db: Path, folder: Path, tier: Any
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    config = make_config(server, db, providers=[row(server)])
    process, pipe = start(work_until_killed, config, folder)
    heard(pipe)
    server.wait_until(lambda: list(server.batches.values()) == ["in_progress"])
    process.kill()
    assert ended(process) == -signal.SIGKILL
    pipe.close()
    server.hold_batches(hold=False)
    # Also without the tier: what is under way is bought already.
    summary = job_of(server, db, folder).run([*cities(5), "city 5?"], tier=tier)
    assert (summary.progress.state, summary.progress.done) == ("finished", 6)
    costs = sorted(one["cost_nano_usd"] for one in rows(db))
    assert costs == [AT_HALF] * 5 + [AT_HALF if tier == "batch" else AT_FULL]
    assert len(server.calls()) == 6
    assert (summary.progress.bought_twice_at_most, len(result_rows(folder))) == (0, 6)
    assert_sound(db)


async def begun(job: Any, server: LoopbackServer) -> asyncio.Task[Any]:
    """A run that waits for its batch."""
    running = asyncio.create_task(job.arun(cities(3), tier="batch"))
    under_way = ["in_progress"]
    await asyncio.to_thread(
        server.wait_until, lambda: list(server.batches.values()) == under_way, timeout_s=DUST_S
    )
    return running


async def test_a_run_that_is_interrupted_leaves_its_batch_to_the_next(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    job = job_of(server, db, folder)
    running = await begun(job, server)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    status = job.status()
    assert (status.state, status.leased, status.done) == ("stopped", 3, 0)
    server.hold_batches(hold=False)
    last = (await job.arun(tier="batch")).progress
    assert (last.state, last.done, len(names(server))) == ("finished", 3, 3)
    assert_sound(db)


def test_only_one_process_sends_files(server: LoopbackServer, db: Path, folder: Path) -> None:
    job = job_of(server, db, folder)
    for options in ({"workers": 2}, {"engine": "ray"}):
        with pytest.raises(InvalidRequestError, match=r'tier="batch": one process sends'):
            job.run(cities(1), tier="batch", **options)
    assert not folder.exists()


def test_the_key_and_the_prompts_are_in_no_log_of_a_refused_batch(
    server: LoopbackServer, db: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("openai", ANSWER)
    nowhere = f"{server.ollama_url}/none"
    chain = [row(server, name="nowhere", base_url=nowhere), row(server)]
    router = open_router(make_config(server, db, providers=chain))
    create_bulk(router, name="cities", results=folder).run(cities(2), tier="batch")
    assert "batch aegis-" in caplog.text
    assert "HTTP 404" in caplog.text
    for secret in (*KEYS.values(), *cities(2)):
        assert secret not in caplog.text
