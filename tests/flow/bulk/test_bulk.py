from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph

from aegis_graph import InvalidRequestError, StoreError, create_bulk
from aegis_graph.bulk.records import BulkProgress
from aegis_graph.bulk.worker import WorkerSettings
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.bulk.bulk_support import (
    ANSWER,
    NANO,
    Trip,
    asked,
    prompt,
    result_rows,
    routed,
    spent_of_job,
    two_calls,
)
from tests.flow.support import (
    assert_sound,
    flat_price,
    locked,
    make_config,
    open_router,
    provider,
    read,
    rows,
)

QUICK = WorkerSettings(concurrency=4, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def cities(count: int) -> list[str]:
    return [f"city {number}?" for number in range(count)]


def test_every_item_is_asked_once_and_has_its_row(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    seen: list[BulkProgress] = []
    summary = job.run(cities(20), concurrency=5, progress=seen.append)
    assert asked(server) == dict.fromkeys(cities(20), 1)
    found = result_rows(folder)
    assert len({row["key"] for row in found}) == 20
    assert {(row["cost_usd"], row["error"], row["attempts"]) for row in found} == {
        ("0.001", None, 1)
    }
    routes = {row["route_id"] for row in rows(db)}
    assert {route for row in found for route in row["route_ids"]} == routes
    assert {row["tags"] for row in rows(db)} == {'{"bulk": "cities"}'}
    assert {row["run_id"] for row in rows(db)} == {f"cities/{row['key']}" for row in found}
    assert (summary.progress.state, summary.rest_nano_usd) == ("finished", 0)
    assert seen[-1] == summary.progress
    assert spent_of_job(db, "cities") == 20 * NANO == summary.progress.spent_nano_usd
    assert_sound(db)
    # Run again, there is nothing to do.
    again = job.run(cities(20))
    assert (len(server.calls()), again.progress.done) == (20, 20)
    assert result_rows(folder) == found


def test_no_more_items_run_at_once_than_was_said(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", Reply("Paris", input_tokens=1, output_tokens=1, latency_s=0.02))
    create_bulk(routed(server, db), name="cities", results=folder).run(cities(30), concurrency=3)
    assert server.peak_in_flight <= 3


def test_the_job_ends_by_itself_when_its_money_is_spent(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    summary = job.run(cities(50), max_cost_usd="0.017", concurrency=8)
    progress = summary.progress
    assert (progress.state, progress.done, progress.pending) == ("money_ended", 17, 33)
    assert (progress.spent_nano_usd, progress.left_nano_usd) == (17 * NANO, 0)
    assert summary.rest_nano_usd == 33 * NANO
    assert progress.reason is not None
    assert "budget tag:bulk=cities per total" in progress.reason
    assert (len(server.calls()), len(result_rows(folder))) == (17, 17)
    # The items that were given back have all of their attempts.
    assert [row["attempts"] for row in result_rows(folder)] == [1] * 17
    later = job.run(max_cost_usd="1")
    assert (later.progress.state, later.progress.done) == ("finished", 50)
    assert asked(server) == dict.fromkeys(cities(50), 1)
    assert len({row["key"] for row in result_rows(folder)}) == 50


def test_an_item_whose_second_call_finds_no_money_is_pending(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    graph = two_calls(routed(server, db))
    items = [{"city": f"{number}"} for number in range(4)]
    job = create_bulk(graph, name="trips", results=folder)
    summary = job.run(items, max_cost_usd="0.005", concurrency=1)
    assert (summary.progress.state, summary.progress.done) == ("money_ended", 2)
    assert (summary.progress.pending, summary.progress.failed) == (2, 0)
    summary = job.run(max_cost_usd="1", concurrency=1)
    assert (summary.progress.done, summary.progress.bought_twice_at_most) == (4, 1)
    assert asked(server)["country of 2?"] == 2


async def test_with_a_checkpointer_what_was_paid_is_not_bought_again(
    server: LoopbackServer, db: Path, folder: Path, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)

    @asynccontextmanager
    async def graph() -> AsyncIterator[Any]:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "steps.db")) as saver:
            yield two_calls(routed(server, db), checkpointer=saver)

    items = [{"city": f"{number}"} for number in range(4)]
    job = create_bulk(graph, name="trips", results=folder)
    summary = await job.arun(items, max_cost_usd="0.005", concurrency=1)
    assert (summary.progress.state, summary.progress.done) == ("money_ended", 2)
    summary = await job.arun(max_cost_usd="1", concurrency=2)
    assert (summary.progress.state, summary.progress.bought_twice_at_most) == ("finished", 0)
    assert set(asked(server).values()) == {1}
    assert {row["output"]["river"] for row in result_rows(folder)} == {"Paris"}
    assert {row["cost_usd"] for row in result_rows(folder)} == {"0.002"}


def test_a_checkpointer_without_async_methods_works_too(
    server: LoopbackServer, db: Path, folder: Path, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    with SqliteSaver.from_conn_string(str(tmp_path / "steps.db")) as saver:
        router = routed(server, db)
        graph = sync_graph(router, saver)
        job = create_bulk(graph, name="trips", results=folder)
        summary = job.run([{"city": f"{number}"} for number in range(5)], concurrency=2)
    assert summary.progress.done == 5
    assert len(server.calls()) == 5


def sync_graph(router: Any, saver: Any) -> Any:
    def country(state: Trip, config: RunnableConfig) -> Trip:
        asked = {"messages": [("user", f"country of {state['city']}?")]}
        return {"country": router.invoke(asked, config)["messages"][-1].text}

    builder = StateGraph(Trip).add_node("country", country).add_edge(START, "country")
    return builder.compile(checkpointer=saver)


def test_a_poisonous_item_is_set_aside_and_stops_no_other(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    def answer(call: Any) -> Any:
        return Fault.status(400) if prompt(call) == "city 3?" else ANSWER

    server.always("openai", answer)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    summary = job.run(cities(10), concurrency=2, max_attempts=2)
    assert (summary.progress.state, summary.progress.set_aside) == ("finished", 1)
    assert asked(server)["city 3?"] == 2
    (bad,) = [row for row in result_rows(folder) if row["error"]]
    assert bad["error"].startswith("RequestRejectedError: ")
    assert (bad["output"], bad["attempts"]) == (None, 2)
    server.always("openai", ANSWER)
    assert job.retry() == 1
    summary = job.run()
    assert (summary.progress.done, summary.progress.set_aside) == (10, 0)
    assert [row["error"] for row in result_rows(folder)] == [None] * 10


def test_a_provider_that_is_down_pauses_the_job_and_fails_no_item(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", Fault.status(503))
    health = {"failures": 2, "first_cooldown_s": 0.01, "cooldown_s": 0.02}
    job = create_bulk(routed(server, db, health=health), name="cities", results=folder)
    seen: list[BulkProgress] = []

    def watch(progress: BulkProgress) -> None:
        seen.append(progress)
        if progress.state == "paused":
            server.always("openai", ANSWER)

    summary = job.run(cities(30), settings=QUICK, max_attempts=1, progress=watch)
    paused = [one for one in seen if one.state == "paused"]
    assert paused
    assert paused[0].reason is not None
    assert "503" in paused[0].reason
    assert (summary.progress.state, summary.progress.done) == ("finished", 30)
    assert summary.progress.set_aside == 0


def test_a_key_that_is_refused_pauses_the_job_until_it_gives_up(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", Fault.status(401))
    settings = WorkerSettings(
        concurrency=4, first_pause_s=0.01, longest_pause_s=0.05, give_up_s=0.5
    )
    job = create_bulk(routed(server, db), name="cities", results=folder)
    summary = job.run(cities(30), settings=settings)
    assert (summary.progress.pending, summary.progress.set_aside) == (30, 0)
    assert summary.progress.state == "stopped"
    assert summary.progress.reason is not None
    assert "AuthenticationError" in summary.progress.reason


def test_the_last_item_that_no_provider_answers_is_set_aside_in_the_end(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    def answer(call: Any) -> Any:
        return Fault.status(503) if prompt(call) == "city 3?" else ANSWER

    server.always("openai", answer)
    health = {"failures": 100}
    job = create_bulk(routed(server, db, health=health), name="cities", results=folder)
    summary = job.run(cities(10), settings=QUICK, max_attempts=3)
    assert (summary.progress.done, summary.progress.set_aside) == (9, 1)


def test_a_graph_without_a_router_is_refused(folder: Path) -> None:
    builder = StateGraph(Trip).add_node("still", lambda state: {"river": "none"})
    graph = builder.add_edge(START, "still").compile()
    with pytest.raises(InvalidRequestError, match="there is no router in it"):
        create_bulk(graph, name="trips", results=folder).run([{"city": "Rome"}])
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"concurrency": 0}, "concurrency: 0 is no whole number from 1"),
        ({"max_cost_usd": "much"}, "max_cost_usd"),
        ({"tier": "cheap"}, "tier: 'cheap' is unknown"),
    ],
)
def test_a_wrong_argument_is_one_line_and_makes_nothing(
    server: LoopbackServer, db: Path, folder: Path, changes: dict[str, Any], says: str
) -> None:
    job = create_bulk(routed(server, db), name="cities", results=folder)
    with pytest.raises(InvalidRequestError, match=says):
        job.run(cities(1), **changes)
    assert not folder.exists()


def test_another_chain_of_models_is_another_graph(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    create_bulk(routed(server, db), name="cities", results=folder).run(cities(2))
    row = provider(server, "openai", **{**flat_price("0.001"), "model": "gpt-5"})
    other = open_router(make_config(server, db, providers=[row]))
    with pytest.raises(StoreError, match=r"begun with another graph \(models changed\)"):
        create_bulk(other, name="cities", results=folder).run(cities(3))
    assert len(server.calls()) == 2


async def test_a_job_that_is_cancelled_from_elsewhere_stops_and_goes_on_later(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)

    def cancel_at_ten(call: Any) -> Any:
        if len(server.calls()) == 10:
            create_bulk("any:graph", name="cities", results=folder).cancel()
        return ANSWER

    server.always("openai", cancel_at_ten)
    summary = await job.arun(cities(200), concurrency=2)
    assert summary.progress.state == "cancelled"
    assert 10 <= summary.progress.done < 200
    assert len(result_rows(folder)) == summary.progress.done == len(server.calls())
    summary = await job.arun()
    assert (summary.progress.state, summary.progress.done) == ("finished", 200)
    assert asked(server) == dict.fromkeys(cities(200), 1)


async def test_a_task_that_is_cancelled_keeps_what_is_under_way(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", Reply("Paris", input_tokens=1, output_tokens=1, latency_s=0.2))
    job = create_bulk(routed(server, db), name="cities", results=folder)
    running = asyncio.create_task(job.arun(cities(50), concurrency=4))
    await asyncio.to_thread(server.wait_for_calls, 4)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    arrived = len(server.calls())
    assert len(result_rows(folder)) == arrived < 50
    progress = job.status()
    assert (progress.state, progress.leased) == ("stopped", 0)
    assert read(db, "SELECT count(*) AS n FROM requests WHERE status = 'reserved'") == [{"n": 0}]
    await job.arun()
    assert asked(server) == dict.fromkeys(cities(50), 1)


def test_items_are_read_one_after_the_other(server: LoopbackServer, db: Path, folder: Path) -> None:
    server.always("openai", ANSWER)

    def inputs() -> Iterator[dict[str, Any]]:
        for number in range(3):
            yield {"id": number, "messages": [("user", f"city {number}?")]}

    job = create_bulk(routed(server, db), name="cities", results=folder, key="id")
    job.run(inputs())
    assert [row["key"] for row in result_rows(folder)] == ["0", "1", "2"]


def test_a_ledger_that_cannot_be_written_pauses_the_job(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    router = routed(server, db, ledger={"busy_timeout_s": 0.05})
    other = ExitStack()

    def answer(call: Any) -> Any:
        if len(server.calls()) == 5:
            other.enter_context(locked(db))
        return ANSWER

    def watch(progress: BulkProgress) -> None:
        if progress.state == "paused":
            seen.append(progress.reason)
            other.close()

    seen: list[str | None] = []
    server.always("openai", answer)
    job = create_bulk(router, name="cities", results=folder)
    summary = job.run(cities(20), settings=QUICK, max_attempts=1, progress=watch)
    assert seen
    assert "is locked by another program" in str(seen[0])
    assert (summary.progress.state, summary.progress.done) == ("finished", 20)
    assert summary.progress.set_aside == 0
    # What was answered and could not be written is asked again, and counted.
    twice = sum(number > 1 for number in asked(server).values())
    assert twice <= summary.progress.bought_twice_at_most
