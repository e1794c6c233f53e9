"""How the loopback server is scripted, what it remembers, and that it starts, carries and stops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx
import pytest

from aegis_graph import testing
from aegis_graph.testing import Fault, LoopbackServer, Reply

MANY = 1_000


def ask(server: LoopbackServer, model: str = "m") -> httpx.Response:
    # Without TLS in play, no certificates need to be loaded for each call.
    return httpx.post(f"{server.openai_url}/chat/completions", json={"model": model}, verify=False)


def answer(server: LoopbackServer, model: str = "m") -> Any:
    return ask(server, model).json()["choices"][0]["message"]["content"]


async def ask_many(server: LoopbackServer, count: int) -> list[int]:
    url = f"{server.ollama_url}/api/chat"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one() -> int:
            async with session.post(url, json={"model": "m"}) as response:
                await response.read()
                return response.status

        return await asyncio.gather(*(one() for _ in range(count)))


def test_steps_are_used_in_order_and_then_the_standing_one(server: LoopbackServer) -> None:
    server.always("openai", Reply("standing"))
    server.script("openai", Reply("first"))
    server.script("openai", Reply("second"))

    assert [answer(server) for _ in range(4)] == ["first", "second", "standing", "standing"]
    server.assert_all_used()


def test_the_script_of_a_model_comes_first(server: LoopbackServer) -> None:
    server.always("openai", Reply("standing"))
    server.always("openai", Reply("standing for b"), model="b")
    server.script("openai", Reply("for all"))
    server.script("openai", Reply("for b"), model="b")

    assert [answer(server, "b") for _ in range(3)] == ["for b", "for all", "standing for b"]
    assert answer(server, "c") == "standing"


def test_a_call_without_a_step_is_refused_and_remembered(server: LoopbackServer) -> None:
    refused = ask(server, "gpt-4o")

    assert refused.status_code == 501
    assert "unscripted: POST /v1/chat/completions, model 'gpt-4o'" in refused.text
    with pytest.raises(AssertionError, match="unscripted: POST /v1/chat/completions"):
        server.assert_all_used()


def test_a_step_without_a_call_is_reported(server: LoopbackServer) -> None:
    server.script("ollama", Reply("left over"), model="qwen3")
    with pytest.raises(AssertionError, match=r"never used: ollama qwen3: Reply.*left over"):
        server.assert_all_used()


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/audio/speech", b"{}", 404),
        ("/v1/chat/completions", b"[1", 400),
        ("/api/chat", b"", 400),
    ],
)
def test_a_request_that_no_provider_would_take_is_refused_and_remembered(
    server: LoopbackServer, path: str, content: bytes, status: int
) -> None:
    refused = httpx.post(server.ollama_url + path, content=content)

    assert refused.status_code == status
    assert path in str(refused.json()["error"])
    with pytest.raises(AssertionError, match=path):
        server.assert_all_used()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LoopbackServer().script("grpc", Reply()), "no protocol 'grpc'"),  # type: ignore[arg-type]
        (lambda: Reply(tool_calls=({"name": "f"},)), r"lacks \['args'\]"),
        (lambda: Reply("a b", chunks=("a", "c")), "must join to its text"),
    ],
)
def test_a_wrong_script_is_refused_at_once(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_latency_can_differ_from_call_to_call(server: LoopbackServer) -> None:
    waits = iter([0.03, 0.0])
    server.always("openai", Reply("late", latency_s=lambda: next(waits)))
    started = time.monotonic()

    assert [answer(server), answer(server)] == ["late", "late"]

    assert time.monotonic() - started >= 0.03
    assert next(waits, None) is None


def test_waiting_for_calls_that_do_not_come_ends(server: LoopbackServer) -> None:
    with pytest.raises(
        TimeoutError, match=r"not within 0.01 s: 1 calls \(calls: 0, in flight: 0\)"
    ):
        server.wait_for_calls(1, timeout_s=0.01)


async def test_a_test_can_wait_for_the_middle_of_a_stream(server: LoopbackServer) -> None:
    server.script("ollama", Fault.slow_stream(Reply("one two three"), 0.01))
    asking = asyncio.create_task(ask_many(server, 1))

    await asyncio.to_thread(
        server.wait_until, lambda: any(call.produced.chunks_sent >= 2 for call in server.calls())
    )

    assert await asking == [200]


async def test_it_carries_a_thousand_calls_at_once(server: LoopbackServer) -> None:
    server.always("ollama", Fault.hang())
    threads = threading.active_count()
    asking = asyncio.create_task(ask_many(server, MANY))
    await asyncio.to_thread(server.wait_for_calls, MANY, timeout_s=20)

    assert server.in_flight == server.peak_in_flight == MANY
    assert threading.active_count() <= threads + 1
    await asyncio.to_thread(server.stop)

    with pytest.raises(aiohttp.ClientConnectionError):
        await asking
    assert server.in_flight == 0
    assert not any(call.produced.disconnected for call in server.calls())


async def test_a_thousand_answers_are_all_counted(server: LoopbackServer) -> None:
    server.always("ollama", Reply("one two", latency_s=0.01))

    statuses = await ask_many(server, MANY)

    await asyncio.to_thread(server.wait_until_idle)
    assert statuses == [200] * MANY
    assert sum(call.produced.chunks_sent for call in server.calls()) == 2 * MANY
    assert [call.number for call in server.calls()] == list(range(1, MANY + 1))


def test_threads_may_share_it(server: LoopbackServer) -> None:
    server.script("openai", *(Reply(str(number)) for number in range(64)))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: answer(server), range(64)))

    assert sorted(answers, key=int) == [str(number) for number in range(64)]
    server.assert_all_used()


def test_a_stopped_server_refuses_and_comes_back_at_the_same_address() -> None:
    server = LoopbackServer()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = server.ollama_url
    server.always("openai", Reply("hello"))

    with server:
        address = server.openai_url
        assert answer(server) == "hello"
        with pytest.raises(RuntimeError, match="already running"):
            server.start()
    with pytest.raises(httpx.ConnectError):
        ask(server)
    server.stop()
    with server.start():
        assert answer(server) == "hello"
        assert server.openai_url == address

    assert len(server.calls()) == 2


def test_the_exports_are_sorted_and_there() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)
