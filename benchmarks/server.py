"""Measure ``aegis serve`` beside the router in a program, and beside LiteLLM's proxy, in one run.

What is compared is processor time of the process that routes, which other work on the machine
changes little. The callers are in this process, and are the same for all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from field import HERE, Field, Result, Worker, open_field, pick
from table import Report, Row, at_most, interleaved
from worker import PROMPT

PEERS = HERE.parent / ".venv-bench" / "bin" / "python"
START_S = 300.0
"""Generous: how long a server may take to start, in seconds."""
MOST_RESETS = 100
TICKS = os.sysconf("SC_CLK_TCK")
MESSAGES = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True)
class Scale:
    """How much is done; the small one only proves that everything runs."""

    rounds: int = 5
    callers: int = 50
    each: int = 20
    streams: int = 200
    words: int = 50


QUICK = Scale(rounds=1, callers=4, each=2, streams=8, words=5)


class ServerProcess:
    """A server in a process of its own.

    Args:
        command: Starts it.
        url: Where it answers.
        model: What its requests name.
        environ: Variables of its process.
    """

    def __init__(
        self, command: Sequence[str | Path], *, url: str, model: str, environ: dict[str, str]
    ) -> None:
        self._model, self._url = model, url
        self.resets = 0
        """Connections that it let go in the middle of a call."""
        self.process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_until_it_answers(self) -> bool:
        """Whether it does, within ``START_S``."""
        ends_at = time.monotonic() + START_S
        while time.monotonic() < ends_at and self.process.poll() is None:
            try:
                asyncio.run(self._load(callers=1, each=1, stream=False))
            except (aiohttp.ClientError, AssertionError, OSError):
                self.resets = 0
                time.sleep(0.2)
            else:
                return True
        return False

    def flight(self, *, callers: int, each: int, stream: bool = False) -> Result:
        """So many callers at once, each asking ``each`` times one after the other."""
        asyncio.run(self._load(callers=callers, each=1, stream=stream))
        began, began_cpu = time.perf_counter(), self._cpu_s()
        pieces = asyncio.run(self._load(callers=callers, each=each, stream=stream))
        seconds = time.perf_counter() - began
        calls = callers * each
        spent = self._cpu_s() - began_cpu
        return {
            "cpu_ms": spent / calls * 1000,
            "cpu_us_a_piece": spent / max(pieces, 1) * 1e6,
            "per_s": calls / seconds,
        }

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    async def _load(self, *, callers: int, each: int, stream: bool) -> int:
        body = {"model": self._model, "messages": MESSAGES, "max_tokens": 64, "stream": stream}
        headers = {"authorization": "Bearer sk-none"}
        connector = aiohttp.TCPConnector(limit=0)
        pieces = 0

        async def caller(session: aiohttp.ClientSession) -> None:
            nonlocal pieces
            done = 0
            while done < each:
                try:
                    heard = await self._pieces(session, body)
                except aiohttp.ClientOSError:
                    # Asked again: what the server did for it counts all the same.
                    self.resets += 1
                    assert self.resets < MOST_RESETS, "the server lets connections go"
                else:
                    # Not in one statement with the wait, in which others count as well.
                    pieces += heard
                    done += 1

        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            await asyncio.gather(*(caller(session) for _ in range(callers)))
        return pieces

    async def _pieces(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> int:
        pieces = 0
        async with session.post(f"{self._url}/chat/completions", json=body) as answer:
            assert answer.status == 200, (answer.status, await answer.text())
            async for line in answer.content:
                pieces += b'"content":"w' in line.replace(b": ", b":")
        return pieces

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def aegis_server(field: Field, *, words: int) -> ServerProcess:
    """``aegis serve`` with the router's own settings."""
    rows = {
        "ledger": {"url": field.ledger(), "busy_timeout_s": 60},
        "budgets": [{"scope": "provider:openai", "window": "month", "limit_usd": 1_000_000}],
        "providers": [
            {
                "name": "openai",
                "kind": "openai",
                "model": "gpt-4o",
                "base_url": field.url(words=words),
                "location": "cloud",
                "price": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10},
                "max_output_tokens": 64,
                "max_retries": 0,
                "timeout_s": 600,
            }
        ],
    }
    config = field.folder / f"aegis-{words}.toml"
    config.write_text(_toml(rows), encoding="utf-8")
    port = free_port()
    aegis = Path(sys.executable).with_name("aegis")
    command = [aegis, "serve", "--config", config, "--port", str(port)]
    url = f"http://127.0.0.1:{port}/v1"
    return ServerProcess(command, url=url, model="auto", environ={"OPENAI_API_KEY": "sk-none"})


def litellm_proxy(field: Field, python: Path, *, words: int) -> ServerProcess:
    """LiteLLM's proxy, as its command starts it, with a budget for the provider."""
    row = {
        "model_name": "gpt-4o",
        "litellm_params": {
            "model": "openai/gpt-4o",
            "api_base": field.url(words=words),
            "api_key": "sk-none",
        },
    }
    budget = {"openai": {"budget_limit": 1_000_000, "time_period": "30d"}}
    document = {
        "model_list": [row],
        "router_settings": {"provider_budget_config": budget, "num_retries": 0},
        "litellm_settings": {"telemetry": False},
    }
    config = field.folder / f"litellm-{words}.yaml"
    # YAML has JSON in it.
    config.write_text(json.dumps(document), encoding="utf-8")
    port = free_port()
    program = "import sys; from litellm.proxy.proxy_cli import run_server; run_server()"
    options = ["--config", config, "--host", "127.0.0.1", "--port", str(port)]
    return ServerProcess(
        [python, "-c", program, *options],
        url=f"http://127.0.0.1:{port}/v1",
        model="gpt-4o",
        environ={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # As ours on this machine: it asks for no key.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    )


def _toml(rows: dict[str, Any]) -> str:
    lines = ["[ledger]", *_pairs(rows["ledger"])]
    for name in ("budgets", "providers"):
        for row in rows[name]:
            lines += [f"[[{name}]]", *_pairs(row)]
    return "\n".join(lines) + "\n"


def _pairs(row: dict[str, Any]) -> Iterator[str]:
    for key, value in row.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items())
            yield f"{key} = {{{inner}}}"
        else:
            yield f"{key} = {json.dumps(value)}"


@contextmanager
def servers(field: Field, peers: Path, *, words: int) -> Iterator[dict[str, ServerProcess]]:
    """Those that could be started."""
    started = {"ours": aegis_server(field, words=words)}
    if peers.exists():
        started["litellm"] = litellm_proxy(field, peers, words=words)
    try:
        yield {name: one for name, one in started.items() if one.wait_until_it_answers()}
    finally:
        for one in started.values():
            one.close()


NO_PROXY = "not measured: LiteLLM's proxy is not installed beside the peers, or did not start"


def calls(scale: Scale, field: Field, peers: Path) -> list[Row]:
    """Whole answers: beside the router in a program, and beside the proxy."""
    wanted: Any = {"kind": "openai", "url": field.url(), "ledger": field.ledger()}
    with (
        servers(field, peers, words=8) as found,
        field.workers(inside=("router", wanted)) as workers,
    ):
        steps: list[Any] = [
            lambda one=one: one.flight(callers=scale.callers, each=scale.each)
            for one in found.values()
        ]
        inside: Worker = workers["inside"]
        steps.append(lambda: inside.measure("flight", callers=scale.callers, each=scale.each))
        results = dict(zip([*found, "inside"], interleaved(scale.rounds, *steps), strict=True))
    name = f"processor time of a call, {scale.callers} callers"
    ours = pick(results, "ours", "cpu_ms")
    inner = pick(results, "inside", "cpu_ms")
    rows = [Row(name, "ms", ours, inner, "the router in a program", "1.5 times", at_most(1.5))]
    if "litellm" not in results:
        return [*rows, Row(name, "ms", skipped=NO_PROXY)]
    theirs = pick(results, "litellm", "cpu_ms")
    rows.append(Row(name, "ms", ours, theirs, "LiteLLM's proxy", "1 times", at_most(1)))
    rate = pick(results, "ours", "per_s"), pick(results, "litellm", "per_s")
    rows.append(Row(f"calls, {scale.callers} callers", "/s", *rate, "LiteLLM's proxy"))
    return rows


def streams(scale: Scale, field: Field, peers: Path) -> list[Row]:
    """Many connections that stream at once."""
    name = f"processor time of a piece, {scale.streams} connections streaming"
    with servers(field, peers, words=scale.words) as found:
        steps: list[Any] = [
            lambda one=one: one.flight(callers=scale.streams, each=1, stream=True)
            for one in found.values()
        ]
        results = dict(zip(found, interleaved(scale.rounds, *steps), strict=True))
    ours = pick(results, "ours", "cpu_us_a_piece")
    if "litellm" not in results:
        return [Row(name, "us", ours, ours, "nothing: the proxy did not start")]
    theirs = pick(results, "litellm", "cpu_us_a_piece")
    return [Row(name, "us", ours, theirs, "LiteLLM's proxy", "1 times", at_most(1))]


def main() -> None:
    """Measure everything, and show it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options.add_argument(
        "--peers", type=Path, metavar="PYTHON", default=PEERS, help="the peers' interpreter"
    )
    chosen = options.parse_args()
    scale, report = QUICK if chosen.quick else Scale(), Report()
    with open_field(chosen.peers, forked=False) as field:
        rows = [*calls(scale, field, chosen.peers), *streams(scale, field, chosen.peers)]
    report.finish(rows, chosen.json)


if __name__ == "__main__":
    main()
