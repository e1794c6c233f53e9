"""``aegis ask``: one question over documents, answered with citations, route and cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessageChunk
from rich.console import Console
from rich.progress import Progress

from aegis_graph.cli import DONE, exit_status
from aegis_graph.cli.show import budget_lines, route_lines, source_lines
from aegis_graph.components.answer import create_answer_graph
from aegis_graph.components.documents import read_passages
from aegis_graph.components.retrieval import PassageIndex
from aegis_graph.config import RouterConfig
from aegis_graph.errors import RoutingError
from aegis_graph.ledger.base import Ledger
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.figures import BudgetStatus
from aegis_graph.router import create_router
from aegis_graph.text.passages import Passage


def ask(options: argparse.Namespace) -> int:
    """Answer a question and show where the answer, and its cost, came from."""
    config = RouterConfig.load(options.config)
    ledger = create_ledger(config)
    graph = create_answer_graph(
        create_router(config, ledger=ledger), PassageIndex(_read(options.docs))
    )
    question: dict[str, Any] = {
        "question": options.question,
        "sensitivity": options.sensitivity,
        "user_id": options.user,
    }
    if options.max_output_tokens is not None:
        question["max_output_tokens"] = options.max_output_tokens
    live = _LiveAnswer(Console(), shown=sys.stdout.isatty() and not options.json)
    try:
        result, budgets = asyncio.run(_answer(graph, question, ledger, live))
    except RoutingError as error:
        live.end()
        if not options.json:
            raise
        print(json.dumps(_refusal(error), ensure_ascii=False))
        return exit_status(error)
    live.end()
    if options.json:
        print(json.dumps(_summary(result), ensure_ascii=False))
    else:
        _show(Console(highlight=False), result, budgets, config, answer_shown=live.text)
    return DONE


def _read(paths: Sequence[Path]) -> list[Passage]:
    """Read the documents, with a progress bar where a person watches."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("reading", total=None)
        return read_passages(
            paths,
            on_file=lambda path, number, count: bar.update(
                task, total=count, completed=number - 1, description=f"reading {path.name}"
            ),
        )


async def _answer(
    graph: Any, question: dict[str, Any], ledger: Ledger, live: _LiveAnswer
) -> tuple[dict[str, Any], list[BudgetStatus]]:
    result: dict[str, Any] = {}
    stream = graph.astream(question, stream_mode=["messages", "custom", "values"], subgraphs=True)
    async for namespace, mode, data in stream:
        if mode == "messages" and isinstance(data[0], AIMessageChunk):
            live.add(data[0].text)
        elif mode == "custom" and data["event"] == "attempt_discarded":
            live.discard(data["provider"], data["reason"])
        elif mode == "values" and not namespace:
            result = data
    return result, await ledger.budgets()


class _LiveAnswer:
    """The answer as it comes, on a terminal. Elsewhere only the checked answer is printed."""

    def __init__(self, console: Console, *, shown: bool) -> None:
        self._console = console
        self._shown = shown
        self.text = ""

    def add(self, token: str) -> None:
        """Print a piece of the answer."""
        if self._shown and token:
            self.text += token
            self._console.out(token, end="", highlight=False)

    def discard(self, provider: str, reason: str) -> None:
        """Say that what was printed does not count."""
        if self._shown:
            self.end()
            self._console.print(f"[dim]-- {provider} stopped ({reason}); starting over --[/dim]")

    def end(self) -> None:
        """End the line that is being printed."""
        if self.text and not self.text.endswith("\n"):
            self._console.out("")


def _show(
    console: Console,
    result: dict[str, Any],
    budgets: list[BudgetStatus],
    config: RouterConfig,
    *,
    answer_shown: str,
) -> None:
    if not answer_shown:
        console.print(result["answer"], markup=False, soft_wrap=True)
    lines = [
        *source_lines(result["citations"]),
        "",
        "Route",
        *route_lines(result["attempts"], result["skipped"]),
    ]
    lines += ["", f"Cost    ${_cost(result['attempts'])}"]
    lines += budget_lines(budgets)
    ledger = config.ledger.shown.removeprefix("sqlite:///")
    lines += [f"Ledger  {ledger}, route {result['route_id']}"]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _cost(attempts: Sequence[dict[str, Any]]) -> str:
    """What the request cost, failed attempts included, in USD."""
    return f"{sum((Decimal(row['cost_usd']) for row in attempts), Decimal(0)):f}"


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    signed = result["messages"][-1].response_metadata
    return {
        "answer": result["answer"],
        "citations": result["citations"],
        "provider": signed["provider"],
        "model": signed["model"],
        "extractive": bool(signed.get("extractive")),
        "cost_usd": _cost(result["attempts"]),
        "route_id": result["route_id"],
        "attempts": result["attempts"],
        "skipped": result["skipped"],
    }


def _refusal(error: RoutingError) -> dict[str, Any]:
    return {
        "error": type(error).__name__,
        "message": str(error),
        "cost_usd": _cost(error.attempts),
        "route_id": error.route_id,
        "attempts": error.attempts,
        "skipped": error.skipped,
    }
