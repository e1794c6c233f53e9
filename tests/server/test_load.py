"""The server under load: many streams at once, and a sudden end in the middle of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from aegis_graph.testing import LoopbackServer, Reply
from tests.server.served import PRICE, Served

CONNECTIONS = 200
TEXT = "one two three four five six"
CHAT = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "?"}]}
# As for the ledger's own kills: all of them take two minutes.
KILLS = 20 if os.environ.get("AEGIS_TEST_KILLS") == "all" else 3


async def streamed(session: aiohttp.ClientSession, url: str) -> str:
    said = ""
    async with session.post(f"{url}/v1/chat/completions", json=CHAT) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    said += choice["delta"].get("content") or ""
    return said


async def test_two_hundred_connections_stream_at_once(served: Served) -> None:
    served.provider.always("openai", Reply(TEXT, chunk_interval_s=0.05))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        said = await asyncio.gather(*(streamed(session, served.url) for _ in range(CONNECTIONS)))
    assert said == [TEXT] * CONNECTIONS
    rows = served.rows()
    assert [row["status"] for row in rows] == ["answered"] * CONNECTIONS
    assert len({row["route_id"] for row in rows}) == CONNECTIONS


@contextmanager
def serving_process(config: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``aegis serve`` in a process of its own, and its address."""
    command = [Path(sys.executable).with_name("aegis"), "serve", "--config", config, "--port", "0"]
    environment = {**os.environ, "KEY": "sk-none"}
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        yield process, "http://" + line.partition("http://")[2].partition(",")[0]
    finally:
        process.kill()
        process.communicate()


async def test_after_a_kill_totals_and_counters_are_those_of_the_rows(tmp_path: Path) -> None:
    price = ", ".join(f'{name} = "{usd}"' for name, usd in PRICE.items())
    with LoopbackServer() as provider:
        provider.always("openai", Reply(TEXT, chunk_interval_s=0.02))
        config = tmp_path / "aegis.toml"
        config.write_text(
            f'[ledger]\nurl = "sqlite:///{tmp_path}/costs.db"\n'
            '[[providers]]\nname = "first"\nkind = "openai"\nmodel = "gpt-4o"\nlocation = "cloud"\n'
            f'base_url = "{provider.openai_url}"\nprice = {{{price}}}\napi_key_env = "KEY"\n'
            "max_output_tokens = 100\n"
        )
        for _ in range(KILLS):
            with serving_process(config) as (process, url):
                await killed_under_load(process, url, provider)
            verified = await asyncio.to_thread(aegis, "ledger", "verify", config)
            assert verified["differences"] == []
        with serving_process(config) as (_, url):
            async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
                families = text_string_to_metric_families(await answer.text())
        counted = {sample.name: sample.value for family in families for sample in family.samples}
        rows = (await asyncio.to_thread(aegis, "costs", "--by=provider", config))["rows"]
        assert counted["aegis_provider_cost_usd_total"] == float(rows[0]["cost_usd"]) > 0
        assert counted["aegis_provider_attempts_total"] == rows[0]["calls"] >= 60 * KILLS


async def killed_under_load(
    process: subprocess.Popen[bytes], url: str, provider: LoopbackServer
) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        before = len(provider.calls())

        async def caller() -> None:
            # The connection ends where the process does.
            with suppress(aiohttp.ClientError):
                while True:
                    await streamed(session, url)

        callers = [asyncio.create_task(caller()) for _ in range(20)]
        await asyncio.to_thread(provider.wait_for_calls, before + 60)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*callers)


def aegis(*arguments: str | Path) -> Any:
    command = [str(Path(sys.executable).with_name("aegis")), *map(str, arguments[:2])]
    command += ["--json", "--config", str(arguments[2])]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
