"""Sync callers: from many threads, inside running loops, over several loops, and at exit."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests import programs
from tests.flow.support import (
    ask,
    assert_one_row_per_call,
    assert_sound,
    eventually,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    rows,
    settled,
)

ROOT = Path(__file__).parents[3]
PARIS = Reply("It is Paris.", input_tokens=40, output_tokens=5)
DEADLINE_S = 120.0
NEVER_S = 3600.0
"""The time limit of the call that hangs: a program that waits for it is too late."""
PROMPT_S = 120.0
"""Longer than any exit takes."""


def test_500_threads_that_invoke_at_once_all_return(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    together = threading.Barrier(500)

    def call(_: int) -> str:
        together.wait(DEADLINE_S)
        return str(router.invoke(ask())["messages"][-1].text)

    with ThreadPoolExecutor(500) as threads:
        answers = list(threads.map(call, range(500), timeout=DEADLINE_S))

    assert answers == ["It is Paris."] * 500
    assert len(server.calls()) == 500
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


def test_sync_calls_wait_side_by_side_and_not_in_a_queue(server: LoopbackServer, db: Path) -> None:
    # Each call waits until all two hundred are there: with any smaller pool none would return.
    everybody = threading.Event()
    server.always("ollama", Fault.hang())
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    threads = [
        threading.Thread(target=_invoke_until_stopped, args=(router, everybody)) for _ in range(200)
    ]
    for thread in threads:
        thread.start()

    server.wait_for_calls(200, timeout_s=DEADLINE_S)
    assert server.peak_in_flight == 200

    everybody.set()
    server.stop()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert_sound(db)


def _invoke_until_stopped(router: Any, everybody: threading.Event) -> None:
    try:
        router.invoke(ask())
    except RuntimeError:
        assert everybody.is_set()


async def test_a_sync_call_inside_a_running_loop_returns(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", PARIS)
    router = open_router(make_config(server, db))

    result = router.invoke(ask())
    again = await router.ainvoke(ask())

    assert result["messages"][-1].text == again["messages"][-1].text == "It is Paris."
    assert_sound(db)


@pytest.mark.parametrize("kind", ["ollama", "dashscope", "openai"])
def test_one_router_serves_one_loop_after_the_other(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, kind)]))

    answers = [asyncio.run(router.ainvoke(ask())) for _ in range(3)]
    answers.append(router.invoke(ask()))

    assert {answer["messages"][-1].text for answer in answers} == {"It is Paris."}
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


def test_one_router_serves_several_loops_at_the_same_time(server: LoopbackServer, db: Path) -> None:
    server.always("openai", PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))

    async def some() -> list[Any]:
        return list(await asyncio.gather(*(router.ainvoke(ask()) for _ in range(10))))

    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(asyncio.run, some()) for _ in range(8)]
        assert sum(len(run.result(DEADLINE_S)) for run in runs) == 80

    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@pytest.mark.parametrize("kind", ["ollama", "dashscope", "openai"])
def test_a_sync_stream_carries_tokens_and_events(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, kind)]))

    parts = list(router.stream(ask(), stream_mode=["messages", "custom"]))

    assert [part["event"] for mode, part in parts if mode == "custom"] == ["attempt_started"]
    pieces = [part[0].text for mode, part in parts if mode == "messages" and part[0].text]
    assert pieces == ["It ", "is ", "Paris."]
    assert [row["cost_basis"] for row in rows(db)] == ["reported"]
    assert_sound(db)


SETUP = """
import asyncio, signal, sys
# Whoever starts the tests in the background starts them with interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests import programs
from tests.flow.support import ask, open_router
from aegis_graph import RouterConfig
router = open_router(RouterConfig.model_validate_json(sys.argv[1]))
"""
RUN = 'print(asyncio.run(router.ainvoke(ask()))["messages"][-1].text)'
INVOKE = 'print(router.invoke(ask())["messages"][-1].text)'
STREAM = 'print("".join(c.text for c, _ in router.stream(ask(), stream_mode="messages")))'
THREADS = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(20) as threads:
    results = list(threads.map(lambda _: router.invoke(ask()), range(40)))
print({result["messages"][-1].text for result in results}.pop())
"""


def running(script: str, config: RouterConfig) -> programs.Program:
    """A program of a user of this package, who closes nothing."""
    return programs.start(SETUP + script, config.model_dump_json(), cwd=ROOT)


@pytest.mark.parametrize("kind", ["ollama", "dashscope", "openai"])
@pytest.mark.parametrize(
    "script",
    [RUN, INVOKE, STREAM, THREADS, f"{RUN}\n{RUN}\n{INVOKE}"],
    ids=["run", "invoke", "stream", "threads", "all"],
)
def test_a_script_that_closes_nothing_ends_in_silence(
    server: LoopbackServer, db: Path, kind: Any, script: str
) -> None:
    server.always(kind, PARIS)
    config = make_config(server, db, providers=[provider(server, kind)])

    with running(script, config) as program:
        output, errors = program.communicate()

    assert set(output.split(b"\n")) == {b"It is Paris.", b""}
    assert (program.returncode, errors) == (0, b"")
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


SLOW_LOAD = """
import asyncio, sys, time
class Hours:
    passed = 0
    def find_spec(self, name, path, target=None):
        self.passed += name == "langchain_openai"
hours = Hours()
sys.meta_path.insert(0, hours)
asyncio.BaseEventLoop.time = lambda loop: time.monotonic() + 3600 * hours.passed
"""
"""By the clock of every event loop, loading this client takes an hour."""


def test_loading_a_client_does_not_count_as_the_time_of_its_provider(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", PARIS)
    row = provider(server, "openai", timeout_s=60, max_retries=0)
    config = make_config(server, db, providers=[row]).model_dump_json()
    program = f"{SLOW_LOAD}{SETUP}{RUN}\nassert hours.passed"

    # Fresh, because those that are forked have loaded it.
    done = programs.run(program, config, cwd=ROOT, fresh=True)

    assert (done.stdout, done.stderr) == (b"It is Paris.\n", b"")
    assert_one_row_per_call(db, server.calls())


@pytest.mark.parametrize("script", [RUN, THREADS], ids=["run", "threads"])
def test_in_the_debug_mode_of_python_a_script_ends_as_well(
    server: LoopbackServer, db: Path, script: str
) -> None:
    server.always("ollama", PARIS)

    argument = make_config(server, db).model_dump_json()
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", SETUP + script, argument]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=DEADLINE_S, check=False)

    assert (done.returncode, done.stdout) == (0, b"It is Paris.\n"), done.stderr
    assert b"Traceback" not in done.stderr
    assert_sound(db)


WAITS = pytest.mark.xfail(reason="LangGraph's sync stream waits for its worker thread", strict=True)


@pytest.mark.parametrize(
    ("script", "prompt_s"),
    [(RUN, PROMPT_S), (INVOKE, PROMPT_S), pytest.param(STREAM, 10.0, marks=WAITS)],
    ids=["run", "invoke", "stream"],
)
def test_an_interrupt_during_a_hanging_call_settles_its_row(
    server: LoopbackServer, db: Path, script: str, prompt_s: float
) -> None:
    server.always("openai", Fault.hang())
    row = provider(server, "openai", timeout_s=NEVER_S, **flat_price("1"))
    config = make_config(server, db, providers=[row])

    with running(script, config) as program:
        server.wait_for_calls(1, timeout_s=DEADLINE_S)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout_s=prompt_s)

    assert b"KeyboardInterrupt" in errors
    assert program.returncode == -signal.SIGINT
    (row,) = made(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "held")
    assert row["cost_nano_usd"] == row["hold_nano_usd"] > 0
    assert_sound(db)


def test_a_sync_stream_that_is_left_after_its_first_token_settles(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("It is Paris.", chunk_interval_s=0.05))
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))

    stream = router.stream(ask(), stream_mode="messages")
    next(part for part, _ in stream if part.text)
    stream.close()

    eventually(lambda: settled(db), goal="every hold settled")
    (row,) = rows(db)
    assert row["cost_nano_usd"] > 0
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)
