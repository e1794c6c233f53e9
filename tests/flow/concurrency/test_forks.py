"""A process that is forked after the router was used: sync and async, on both stores."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import ask, eventually, make_config, open_router, provider


def in_child(work: Callable[[], object]) -> str:
    """What a forked process says of some work: nothing where it went well."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  not lost: it is what the test reads
            os.write(writing, traceback.format_exc().encode())
        finally:
            # Without the parent's exit handlers, as a worker of a server ends.
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read().decode()
    os.waitpid(child, 0)
    return report


def answered(router: Any, *, sync: bool) -> None:
    result = router.invoke(ask()) if sync else asyncio.run(router.ainvoke(ask()))
    assert result["attempts"][0]["status"] == "answered"


@pytest.mark.parametrize("before", ["sync", "async"])
@pytest.mark.parametrize("after", ["sync", "async"])
@pytest.mark.parametrize("kind", ["ollama", "openai", "dashscope"])
def test_a_forked_process_asks_as_its_parent_did(
    server: LoopbackServer, db: Path, before: str, after: str, kind: str
) -> None:
    server.always(kind, Reply("It is."))  # type: ignore[arg-type]  # one of the protocols
    router = open_router(make_config(server, db, providers=[provider(server, kind)]))
    answered(router, sync=before == "sync")
    assert in_child(lambda: answered(router, sync=after == "sync")) == ""
    # And the parent goes on.
    answered(router, sync=before == "sync")
    assert len(server.calls()) == 3


def calls(config: RouterConfig) -> int:
    ledger = create_ledger(config)
    rows = asyncio.run(ledger.report("provider", first_day="2000-01-01", end_day="9999-01-01"))
    ledger.close()
    return sum(row.calls for row in rows)


def test_forked_processes_share_a_budget_on_postgresql(
    server: LoopbackServer, db: Path, postgres_url: str
) -> None:
    server.always("ollama", Reply("It is."))
    config = make_config(server, db, providers=[provider(server, "ollama")])
    shared = RouterConfig.model_validate(
        {**config.model_dump(exclude={"source"}), "ledger": {"url": postgres_url}}
    )
    # Other tests have the same server.
    before = calls(shared)
    router = open_router(shared)
    answered(router, sync=True)
    assert in_child(lambda: answered(router, sync=True)) == ""
    assert in_child(lambda: answered(router, sync=False)) == ""
    answered(router, sync=True)
    assert calls(shared) - before == 4


def test_a_forked_process_waits_for_none_of_its_parents_requests(
    server: LoopbackServer, db: Path
) -> None:
    row = provider(server, "ollama", max_concurrency=1)
    config = make_config(server, db, providers=[row])
    ledger = create_ledger(config)
    router = open_router(config, ledger=ledger)
    server.script("ollama", Fault.hang())

    async def fork_while_one_waits() -> str:
        tasks = [asyncio.ensure_future(router.ainvoke(ask())) for _ in range(2)]
        waits = partial(eventually, lambda: ledger.queue.waiting() == 1, goal="one waits")
        await asyncio.to_thread(waits)
        report = in_child(lambda: none_waits(ledger))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return report

    assert asyncio.run(fork_while_one_waits()) == ""


def none_waits(ledger: SqlLedger) -> None:
    assert ledger.queue.waiting() == 0
