"""What a second attempt does to the slowest requests, and to the bill: with it and without."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from table import Report, Row, at_most

from aegis_graph import BudgetExceededError, RouterConfig, create_router
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.testing.loopback.journal import ProtocolName, Received

TOKENS = 100
"""Of each answer, and the cap: what an attempt reserves is what an answer costs."""
PRICE = {"input_usd_per_mtok": "0", "output_usd_per_mtok": "10"}
ANSWER_NANO_USD = TOKENS * 10_000
MEDIAN_S, SPREAD = 1.0, 0.2
"""Of a usual answer: a lognormal distribution."""
SLOW, SLOW_S, TAIL = 0.03, 8.0, 1.5
"""The share of the slow ones, the least of them, and the exponent of their Pareto distribution."""
LONGEST_S = 40.0
PROTOCOLS: tuple[ProtocolName, ...] = ("openai", "dashscope")


@dataclass(frozen=True)
class Scale:
    """How much is asked; the small one only proves that everything runs."""

    requests: int = 1500
    callers: int = 12
    crowd: int = 64
    affordable: int = 600
    """Answers for which the tight budget is enough."""


def heavy_tail(call: Received) -> Reply:
    """A provider that is slow now and then, for the same question at the same provider always."""
    text = call.body["messages"] if "messages" in call.body else call.body["input"]["messages"]
    draw = random.Random(f"{call.protocol} {text[-1]['content']}")
    seconds = MEDIAN_S * draw.lognormvariate(0, SPREAD)
    if draw.random() < SLOW:
        seconds = min(LONGEST_S, SLOW_S * draw.paretovariate(TAIL))
    return Reply("word", output_tokens=TOKENS, latency_s=seconds)


class Contestant:
    """A router with a ledger of its own, and what came of its requests."""

    def __init__(self, server: LoopbackServer, db: Path, hedge_after_s: str, limit: int) -> None:
        rows = [
            {
                "name": name,
                "kind": name,
                "model": name,
                "location": "cloud",
                "base_url": getattr(server, f"{name}_url"),
                "api_key_env": "KEY",
                "price": PRICE,
                "max_output_tokens": TOKENS,
                "timeout_s": 600,
            }
            for name in PROTOCOLS
        ]
        config = RouterConfig.model_validate(
            {
                "ledger": {"url": f"sqlite:///{db}"},
                "providers": rows,
                "budgets": [
                    {"scope": "total", "window": "total", "limit_usd": f"{limit / 10**9:f}"}
                ],
                "routing": {"hedge_after_s": hedge_after_s},
            }
        )
        self._ledger = create_ledger(config)
        self._router: Any = create_router(config, ledger=self._ledger, environ={"KEY": "k"})
        self.ms: list[float] = []
        self.hedged = self.calls = 0

    async def warm_up(self) -> None:
        """Load the clients of both providers."""
        for name in PROTOCOLS:
            result = await self._router.ainvoke(
                {"messages": [HumanMessage("?")], "providers": [name], "task": "warmup"}
            )
            self.calls += len(result["attempts"])

    async def ask(self, number: int) -> None:
        """One request; one for which there is no money any more counts nowhere."""
        began = time.perf_counter()
        try:
            result = await self._router.ainvoke({"messages": [HumanMessage(f"city {number}?")]})
        except BudgetExceededError as error:
            self.calls += len(error.attempts)
            return
        self.ms.append((time.perf_counter() - began) * 1000)
        self.calls += len(result["attempts"])
        self.hedged += len(result["attempts"]) > 1

    async def spent_nano_usd(self) -> int:
        """What its ledger has: spent, and still held."""
        (total,) = await self._ledger.budgets()
        return total.spent_nano_usd + total.held_nano_usd

    def percentile(self, percent: int) -> float:
        """By nearest rank, in milliseconds."""
        return sorted(self.ms)[-(-len(self.ms) * percent // 100) - 1]


async def ask_all(contestants: list[Contestant], requests: int, callers: int) -> None:
    """Each question to each contestant at the same time: a busy spell of the machine hits all."""
    numbers = iter(range(requests))

    async def caller() -> None:
        for number in numbers:
            await asyncio.gather(*(one.ask(number) for one in contestants))

    for one in contestants:
        await one.warm_up()
    await asyncio.gather(*(caller() for _ in range(callers)))


async def measure(scale: Scale, folder: Path) -> list[Row]:
    """The same requests without and with a second attempt, and a crowd on a tight budget."""
    with LoopbackServer() as server:
        for name in PROTOCOLS:
            server.always(name, heavy_tail)
        alone = Contestant(server, folder / "alone.db", "off", 10**15)
        hedged = Contestant(server, folder / "hedged.db", "p95", 10**15)
        await ask_all([alone, hedged], scale.requests, scale.callers)
        limit = scale.affordable * ANSWER_NANO_USD
        crowd = Contestant(server, folder / "crowd.db", "p95", limit)
        await ask_all([crowd], 2 * scale.affordable, scale.crowd)
    usd = [await one.spent_nano_usd() / 1e9 for one in (alone, hedged, crowd)]
    beside, budget = "without", "their budget"
    billed = crowd.calls * ANSWER_NANO_USD / 1e9
    return [
        Row("p50", "ms", [hedged.percentile(50)], [alone.percentile(50)], beside),
        Row("p95", "ms", [hedged.percentile(95)], [alone.percentile(95)], beside),
        Row(
            "p99", "ms", [hedged.percentile(99)], [alone.percentile(99)], beside,
            "0.35 times", at_most(0.35),
        ),
        Row("spent", "USD", usd[1:2], usd[:1], beside, "1.05 times", at_most(1.05)),
        Row("requests with a second attempt", "of", [hedged.hedged], [scale.requests], "all"),
        Row(
            f"spent and held by {scale.crowd} callers at once", "USD", usd[2:], [limit / 1e9],
            budget, "1 times", at_most(1),
        ),
        Row(
            "their bill if each cancelled call is billed in full", "USD", [billed], [limit / 1e9],
            budget, "1 times", at_most(1),
        ),
    ]  # fmt: skip


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="prove that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    report = Report()
    quick = Scale(requests=40, callers=20, crowd=8, affordable=8)
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        rows = asyncio.run(measure(quick if options.quick else Scale(), Path(folder)))
    report.finish(rows, options.json)


if __name__ == "__main__":
    main()
