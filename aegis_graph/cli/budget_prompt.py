"""The question whether more may be spent than a budget has, on a terminal."""

from __future__ import annotations

import asyncio
import sys

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.routing.application.hooks import AskBudget
from aegis_graph.routing.budget_question import BudgetQuestion
from aegis_graph.types import OnBudget


def on_budget_here(config: RouterConfig) -> OnBudget | AskBudget:
    """What a command does where only budgets are in the way, by the file's word.

    Where that is to ask: on a terminal it does, and elsewhere the request fails.
    """
    if config.routing.on_budget != "interrupt":
        return config.routing.on_budget
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "raise"
    one_at_a_time = asyncio.Lock()

    async def ask(question: BudgetQuestion) -> str:
        async with one_at_a_time:
            print(f"{question['text']} [0] ", end="", file=sys.stderr, flush=True)
            return (await _typed_line()).strip().removeprefix("$") or "0"

    return ask


async def _typed_line() -> str:
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    try:
        # In no thread: when Ctrl-C ends the wait, one would still take the next line.
        loop.add_reader(sys.stdin, typed.set)
    except NotImplementedError:  # house: of asyncio, on Windows
        return await asyncio.to_thread(sys.stdin.readline)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
