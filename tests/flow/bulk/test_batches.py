"""A job's requests are bought as lines of batches, each at half the price, to the nano-dollar."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph.bulk.batch.buyer import BatchBuyer
from aegis_graph.bulk.batch.records import BatchRecords
from aegis_graph.clock import utc_now
from aegis_graph.errors import StoreError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.contract.ledger_store import Store
from tests.flow.bulk.batch_support import (
    ANSWER,
    AT_FULL,
    AT_HALF,
    KINDS,
    Job,
    at_once,
    items,
    row,
)
from tests.flow.support import provider


@pytest.mark.parametrize("kind", KINDS)
async def test_each_request_is_a_line_at_half_the_price(
    server: LoopbackServer, store: Store, tmp_path: Path, kind: str
) -> None:
    server.always("openai", ANSWER)
    job = Job(server, store, tmp_path, [row(server, kind)], envelope_usd="1")
    bought = await job.buy(items(30))
    assert (bought.under_way, bought.full, bought.put_back) == (0, None, [])
    said: Any = {"text": "It is Ulm.", "asked": [[kind, "batch"]]}
    assert job.outputs() == {f"k{number}": said for number in range(30)}
    assert sorted(job.lines()) == sorted(job.outputs())
    rows = job.rows()
    assert [one["cost_nano_usd"] for one in rows] == [AT_HALF] * 30
    assert {(one["service_tier"], one["cost_basis"], one["provider"]) for one in rows} == {
        ("batch", "reported", kind)
    }
    assert {one["run_id"] for one in rows} == {f"cities/k{number}" for number in range(30)}
    job.assert_in_order()
    # Nothing is left of it, here or there.
    assert list((tmp_path / "results" / "batches").iterdir()) == []
    assert server.batch_files == ()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_line_that_fails_is_asked_without_a_batch(
    server: LoopbackServer, store: Store, tmp_path: Path, kind: str
) -> None:
    if kind == "dashscope":
        server.always("dashscope", ANSWER)
    server.script("openai", Fault.status(500), Fault.drop(), ANSWER, Fault.malformed())
    server.always("openai", ANSWER)
    job = Job(server, store, tmp_path, [row(server, kind)], envelope_usd="1")
    await job.buy(items(4))
    asked = {key: output["asked"] for key, output in job.outputs().items()}
    again = [[kind, "batch"], [kind, None]]
    assert asked == {"k0": again, "k1": again, "k2": [[kind, "batch"]], "k3": again}
    first = [one for one in job.rows() if one["service_tier"] == "batch"]
    held = first[1]["hold_nano_usd"]
    # A refusal costs nothing. Of a line without an answer that is known from DashScope only.
    assert [(one["error_type"], one["cost_nano_usd"]) for one in first] == [
        ("ProviderUnavailableError", 0),
        ("ProviderTimeoutError", 0 if kind == "dashscope" else held),
        (None, AT_HALF),
        ("ProviderTimeoutError", held),
    ]
    others = [one["cost_nano_usd"] for one in job.rows() if one["service_tier"] != "batch"]
    assert others == [AT_FULL] * 3
    job.assert_in_order()


async def test_what_expires_is_not_paid_and_is_asked_without_a_batch(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    job = Job(server, store, tmp_path, [row(server)], envelope_usd="1")

    async def expires(seconds: float) -> None:
        server.run_batches(1, expire=True)

    await job.buy(items(3), pause=expires)
    assert len(job.outputs()) == 3
    assert len(job.lines()) == 1
    costs = sorted(one["cost_nano_usd"] for one in job.rows())
    assert costs == [0, 0, AT_HALF, AT_FULL, AT_FULL]
    job.assert_in_order()


async def test_a_line_without_its_usage_is_settled_by_its_bound(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", Fault.no_usage(ANSWER))
    job = Job(server, store, tmp_path, [row(server)])
    await job.buy(items(1))
    (paid,) = job.rows()
    assert (paid["status"], paid["cost_basis"]) == ("answered", "estimated")
    assert AT_HALF <= paid["cost_nano_usd"] <= paid["hold_nano_usd"]
    assert paid["cost_nano_usd"] == paid["input_tokens"] * 1_000 + paid["output_tokens"] * 5_000
    job.assert_in_order()


async def test_a_lost_answer_to_the_creation_makes_no_second_batch(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.lose_answer("POST", "/v1/files")
    server.lose_answer("POST", "/v1/batches")
    job = Job(server, store, tmp_path, [row(server)])
    await job.buy(items(2))
    assert list(server.batches.values()) == ["completed"]
    assert len(job.lines()) == len(job.outputs()) == 2
    job.assert_in_order()


async def test_the_envelope_bounds_what_is_under_way_and_is_used_up(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    short = row(server, max_output_tokens=10)
    probe = Job(server, store, tmp_path / "probe", [short])
    await probe.buy(items(1))
    held = probe.rows()[0]["hold_nano_usd"]
    assert held > 2 * AT_HALF
    store.change("DELETE FROM totals")
    store.change("DELETE FROM requests")
    # Room for two reservations at once.
    room = AT_HALF + 2 * held
    job = Job(server, store, tmp_path, [short], envelope_usd=f"{room / 10**9:.9f}")
    count = 3 + (2 * held) // AT_HALF
    bought = await job.buy(items(count))
    assert bought.full is not None
    assert bought.full.startswith("budget tag:bulk=cities per total: needs up to $")
    assert bought.under_way == 0
    states = list(job.states().values())
    # A reservation needs its room, of which an answer uses a part.
    most = (room - held) // AT_HALF + 1
    assert states.count("done") == most
    assert states.count("pending") == count - states.count("done")
    assert {one["cost_nano_usd"] for one in job.rows()} == {AT_HALF}
    assert len(server.batches) > 2
    job.assert_in_order()


async def test_what_is_private_goes_in_no_cloud_batch(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.always("ollama", Reply("It is here."))
    chain = [row(server), provider(server, "ollama")]
    job = Job(server, store, tmp_path, chain)
    secret = [replace(one, key=f"s{one.key}") for one in items(2, sensitivity="pii")]
    await job.buy([*items(2), *secret])
    asked = {key: output["asked"] for key, output in job.outputs().items()}
    assert asked == {
        **{key: [["openai", "batch"]] for key in ("k0", "k1")},
        **{key: [["ollama", None]] for key in ("sk0", "sk1")},
    }
    assert sorted(job.lines()) == ["k0", "k1"]


async def test_a_provider_that_is_asked_first_is_asked_first_here_too(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("ollama", ANSWER)
    job = Job(server, store, tmp_path, [provider(server, "ollama"), row(server)])
    await job.buy(items(3))
    assert (server.batches, len(job.outputs()), len(server.calls("ollama"))) == ({}, 3, 3)


async def test_a_server_without_batches_is_asked_as_ever(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    # Below this address there is no endpoint for files, nor any other.
    nowhere = row(server, name="nowhere", base_url=f"{server.ollama_url}/none")
    job = Job(server, store, tmp_path, [nowhere, row(server)])
    await job.buy(items(2))
    for output in job.outputs().values():
        assert output["asked"][0] == ["nowhere", "batch"]
        assert output["asked"][-1] == ["openai", None]
    assert len(job.outputs()) == 2
    assert sum(one["cost_nano_usd"] for one in job.rows()) == 2 * AT_FULL
    job.assert_in_order()


async def test_hooks_and_checks_see_a_line_as_any_attempt(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", lambda call: Reply(f"{call.body['messages'][0]['content']}!"))
    seen: list[tuple[int, str]] = []

    def redact(attempt: Any) -> Any:
        text = attempt.messages[0].text.replace("city", "town")
        return replace(attempt, messages=[HumanMessage(text)])

    def is_checked(request: Any, answer: Any) -> bool:
        return "k0" not in answer.text or answer.response_metadata["attempt"] > 1

    options = {
        "before_attempt": redact,
        "after_attempt": lambda one: seen.append((one.cost_nano_usd, one.record["status"])),
        "accept": {"*": is_checked},
    }
    other = row(server, name="other")
    job = Job(server, store, tmp_path, [row(server), other], router_options=options)
    await job.buy(items(2))
    said = {key: (one["text"], one["asked"]) for key, one in job.outputs().items()}
    assert said == {
        "k0": ("town k0?!", [["openai", "batch"], ["other", None]]),
        "k1": ("town k1?!", [["openai", "batch"]]),
    }
    paid = [(AT_HALF, "answered"), (AT_HALF, "failed"), (AT_FULL, "answered")]
    assert sorted(seen) == sorted(paid)
    job.assert_in_order()


async def test_a_job_that_is_cancelled_ends_its_batches_and_keeps_what_is_paid(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    job = Job(server, store, tmp_path, [row(server)], envelope_usd="1")

    async def cancels(seconds: float) -> None:
        server.run_batches(1)
        queue = job.open()
        queue.set_state("cancelled")
        queue.close()

    bought = await job.buy(items(3), pause=cancels)
    assert bought.under_way == 0
    assert list(server.batches.values()) == ["cancelled"]
    assert sorted(job.states().values()) == ["done", "pending", "pending"]
    assert [one["cost_nano_usd"] for one in job.rows()] == [AT_HALF]
    job.assert_in_order()


async def test_a_run_that_is_stopped_leaves_its_batches_to_the_next(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    job = Job(server, store, tmp_path, [row(server)], envelope_usd="1")
    stop = asyncio.Event()

    async def stops(seconds: float) -> None:
        stop.set()

    bought = await job.buy(items(3), pause=stops, stop=stop)
    assert (bought.under_way, job.outputs()) == (1, {})
    assert set(job.states().values()) == {"leased"}
    server.run_batches()
    await job.buy()
    assert (len(job.outputs()), len(job.lines()), len(server.batches)) == (3, 3, 1)
    job.assert_in_order()


async def test_a_file_has_as_many_lines_as_its_provider_takes(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    job = Job(server, store, tmp_path, [row(server)])
    queue, ledger = job.open(), job.ledger()
    queue.add(items(10))
    run = job.run(queue, ledger)
    (taker,) = run.writer.providers.values()
    assert taker.batch_files is not None
    taker.batch_files = taker.batch_files._replace(most_lines=4)
    await BatchBuyer(run, at_once).buy()
    job.close(queue, ledger)
    assert list(server.batches.values()) == ["completed"] * 3
    assert len(job.lines()) == len(job.outputs()) == 10


async def test_one_process_at_a_time_is_at_the_batches(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    job = Job(server, store, tmp_path, [row(server)])
    queue = job.open()
    BatchRecords(queue.file, utc_now)
    with queue.file.writing() as connection:
        connection.execute("INSERT INTO batch_driver VALUES (1, 'elsewhere', '1')")
    queue.close()
    with pytest.raises(StoreError, match="another process is at the job's batches; end that one"):
        await job.buy(items(1))


async def test_a_batch_whose_provider_is_gone_says_what_to_do(
    server: LoopbackServer, store: Store, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.hold_batches()
    job = Job(server, store, tmp_path, [row(server)])
    stop = asyncio.Event()

    async def stops(seconds: float) -> None:
        stop.set()

    await job.buy(items(1), pause=stops, stop=stop)
    job.chain = [row(server, name="renamed")]
    with pytest.raises(StoreError, match="a batch of openai is under way, and the configuration"):
        await job.buy()
