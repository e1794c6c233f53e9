"""A burst that queued at a busy server is no outage of it, and neither is a short restart."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.support import ask, assert_sound, make_config, open_router, provider, rows

PARIS = Reply("No doubt: Paris.")
CALLERS, SLOTS = 20, 6
LIMIT_S = 600


async def test_callers_that_waited_in_vain_do_not_put_a_busy_server_off(
    server: LoopbackServer, db: Path
) -> None:
    """Some are answered, the others time out behind them; the next request is served."""
    clock = LoopClock(asyncio.get_running_loop())

    def play(call: Received) -> Reply | Fault:
        return PARIS if call.number <= SLOTS else Fault.hang()

    server.always("openai", play)
    row = provider(server, "openai", location="local", price="free", max_retries=0)
    router = open_router(make_config(server, db, providers=[row]))
    calls = [asyncio.create_task(router.ainvoke(ask(f"city {n}?"))) for n in range(CALLERS)]
    await asyncio.to_thread(server.wait_for_calls, CALLERS)
    for answered in islice(asyncio.as_completed(calls), SLOTS):
        await answered
    clock.advance(LIMIT_S)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, AllProvidersFailedError) for one in results) == CALLERS - SLOTS
    server.always("openai", PARIS)
    result = await router.ainvoke(ask())
    assert result["messages"][-1].text == PARIS.text
    assert_sound(db)


async def test_a_server_that_starts_anew_is_asked_again_within_seconds(
    server: LoopbackServer, db: Path
) -> None:
    """Refused connections start a cooldown, which is short at first."""
    row = provider(server, "openai", location="local", price="free", max_retries=0)
    down = row | {"name": "down", "base_url": "http://127.0.0.1:9/v1"}
    config = make_config(server, db, providers=[down, row])
    router = open_router(config)
    server.always("openai", PARIS)
    for _ in range(config.health.failures + 1):
        result = await router.ainvoke(ask())
    (skipped,) = result["skipped"]
    assert skipped["reason"] in {
        f"cooling down for {seconds} s, failures in a row: 3" for seconds in (1, 2)
    }
    assert {row["provider"] for row in rows(db) if row["status"] == "answered"} == {"openai"}
