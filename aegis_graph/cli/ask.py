"""``aegis ask``: one question over documents, answered with citations, route and cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessageChunk
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from aegis_graph.cli import OK
from aegis_graph.cli.answer_page import html_page, markdown_page
from aegis_graph.cli.budget_prompt import on_budget_here
from aegis_graph.cli.commands import exit_status
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.opening import CitedPlaces, open_first
from aegis_graph.cli.output import (
    budget_lines,
    cost_lines,
    plan_lines,
    print_lines,
    route_lines,
    source_lines,
    unsupported_lines,
)
from aegis_graph.cli.request_options import choices_of
from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.components.documents.files import DocumentSet
from aegis_graph.components.documents.skipped import SkippedDocument, skipped_lines
from aegis_graph.components.documents.sources import shown
from aegis_graph.components.index.embedding import space_name
from aegis_graph.components.index.index import create_index
from aegis_graph.components.rag import create_rag
from aegis_graph.components.retriever.base import CostedRetriever
from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.embeddings import create_embeddings
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    LimitExceededError,
    NoProviderError,
    RequestRejectedError,
    RoutingError,
)
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.providers.extractive.notices import MODEL_NAME as EXTRACTIVE
from aegis_graph.routing.router import create_router
from aegis_graph.text.passages import Passage


def ask(options: argparse.Namespace) -> int:
    """Answer a question and show where the answer, and its cost, came from."""
    config = load_config(options)
    ledger = create_ledger(config)
    searched = _searched(options, config, ledger)
    router = create_router(config, ledger=ledger, on_budget=on_budget_here(config))
    generator = create_answer_generator(router, verify=options.verify)
    graph = create_rag(
        router, searched.retriever, decompose=not options.no_plan, generator=generator
    )
    question = {"question": options.question, **choices_of(options)}
    wanted = "json" if options.json else options.format
    # A pipe gets the checked answer alone: what was printed cannot be taken back there.
    live = _LiveAnswer(Console(), shown=sys.stdout.isatty() and wanted is None)
    result, budgets = run_async(_answer(graph, question, ledger, live), before_leaving=ledger.close)
    live.end()
    places = CitedPlaces(result["documents"], searched.path_of)
    status = _show(wanted, options.question, result, places, searched.skipped)
    if wanted is None and result["refusal"] is None:
        _print_result(Console(highlight=False), result, budgets, config, answer_shown=live.text)
    _print_opened(options, result, places)
    if wanted != "json":
        _print_skipped(searched.skipped)
        if result["refusal"] is not None:
            raise _routing_error(result)
    return status


def _show(
    wanted: str | None,
    question: str,
    result: dict[str, Any],
    places: CitedPlaces,
    skipped: Sequence[SkippedDocument],
) -> int:
    """Print the answer in the format that is wanted, and give the exit status."""
    if wanted == "json":
        # A program gets attempts and reasons in the same object, answered or not.
        unread = {"skipped_documents": [asdict(one) for one in skipped]}
        shown = {**(result["refusal"] or {}), **_as_json(result), **unread}
        print(json.dumps(shown, ensure_ascii=False))
        return OK if result["refusal"] is None else exit_status(_routing_error(result))
    if wanted is not None:
        page = html_page if wanted == "html" else markdown_page
        print(page(question, result, places.relative_link))
    elif result["refusal"] is not None:
        # What could be quoted is shown all the same, before the error on standard error.
        for line in (result["answer"], *source_lines(result["citations"])):
            print(line)
    return OK


def _print_opened(options: argparse.Namespace, result: dict[str, Any], places: CitedPlaces) -> None:
    why_not = open_first(result["citations"], places) if options.open else None
    if why_not is not None:
        print(f"aegis: {why_not}", file=sys.stderr)


def _print_skipped(skipped: Sequence[SkippedDocument]) -> None:
    for line in skipped_lines(skipped):
        print(line, file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Searched:
    """What is asked."""

    retriever: CostedRetriever
    skipped: Sequence[SkippedDocument]
    """What could not be read of it."""
    path_of: Callable[[str], Path | None]
    """The file of a source, for this machine only."""


def _searched(options: argparse.Namespace, config: RouterConfig, ledger: SqlLedger) -> _Searched:
    if options.docs:
        documents = DocumentSet(options.docs)
        retriever = create_retriever(_read(documents))
        return _Searched(retriever, documents.skipped, documents.path_of)
    spaces = create_index(options.index, folder=options.index_dir).status().spaces
    embeddings = None
    # A question is embedded only where there are vectors that it can be compared with.
    if spaces and any(row.enabled for row in config.embeddings):
        embeddings = create_embeddings(config, ledger=ledger)
        embeddings = embeddings if space_name(embeddings) in spaces else None
    index = create_index(options.index, folder=options.index_dir, embeddings=embeddings)
    # What was skipped was said when the index was made.
    return _Searched(index.retriever(), (), index.path_of)


def _read(documents: DocumentSet) -> list[Passage]:
    """Read the documents, with a progress bar where a person watches."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("reading", total=None)
        return documents.passages(
            on_file=lambda path, number, count: bar.update(
                task,
                total=count,
                completed=number - 1,
                description=escape(f"reading {shown(path.name)}"),
            ),
        )


async def _answer(
    graph: Any, question: dict[str, Any], ledger: SqlLedger, live: _LiveAnswer
) -> tuple[dict[str, Any], list[BudgetStatus]]:
    result: dict[str, Any] = {}
    stream = graph.astream(question, stream_mode=["messages", "custom", "values"], subgraphs=True)
    async for namespace, mode, data in stream:
        if mode == "messages" and isinstance(data[0], AIMessageChunk):
            live.add(data[0].text)
        elif mode == "custom" and data["event"] == "attempt_discarded":
            live.discard(data["provider"], data["reason"])
        # Without a namespace: the graphs inside have states of their own.
        elif mode == "values" and not namespace:
            result = data
    return result, await ledger.budgets()


def _routing_error(result: dict[str, Any]) -> RoutingError:
    """The error of a run without an answer: the command fails, whatever it could quote."""
    kinds = (
        AllProvidersFailedError,
        BudgetExceededError,
        LimitExceededError,
        NoProviderError,
        RequestRejectedError,
    )
    # The graph's state is JSON: it holds the error's name, of which the error is made again.
    kind = next(kind for kind in kinds if kind.__name__ == result["refusal"]["error"])
    return kind(
        result["refusal"]["message"],
        route_id=result["route_id"],
        attempts=result["attempts"],
        skipped=result["skipped"],
    )


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
            # `out`, not `print`: brackets in an answer are text and no markup.
            self._console.out(token, end="", highlight=False)

    def discard(self, provider: str, reason: str) -> None:
        """Say that what was printed does not count."""
        if self._shown:
            self.end()
            line = escape(f"-- {provider} stopped ({reason}); starting over --")
            self._console.print(f"[dim]{line}[/dim]")

    def end(self) -> None:
        """End the line that is being printed."""
        if self.text and not self.text.endswith("\n"):
            self._console.out("")


def _print_result(
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
        *unsupported_lines(result["sentences"], removed=result["removed"]),
        *plan_lines(result["plan"], result["steps"]),
        "",
        "Route",
        *route_lines(result["attempts"], result["skipped"]),
        "",
        *cost_lines(result["costs"], result["cost_usd"]),
        *budget_lines(budgets),
        *_ledger_line(result, config),
    ]
    print_lines(console, lines)


def _ledger_line(result: dict[str, Any], config: RouterConfig) -> Iterator[str]:
    if result["attempts"]:
        ledger = config.ledger.url_without_password.removeprefix("sqlite:///")
        yield f"Ledger  {ledger}, route {result['route_id']}"


def _as_json(result: dict[str, Any]) -> dict[str, Any]:
    answered = [row for row in result["attempts"] if row["status"] == "answered"]
    last = answered[-1] if answered else None
    shown = ("answer", "citations", "sentences", "removed", "degraded", "degraded_reason")
    steps = [{key: step[key] for key in ("id", "question", "answer")} for step in result["steps"]]
    return {
        **{key: result[key] for key in shown},
        "provider": last["provider"] if last else None,
        "model": last["model"] if last else None,
        "extractive": last is not None and last["model"] == EXTRACTIVE,
        "plan": {**result["plan"], "steps": steps},
        "cost_usd": result["cost_usd"],
        "costs": result["costs"],
        "run_id": result["ledger_run_id"],
        "route_id": result["route_id"],
        "attempts": result["attempts"],
        "skipped": result["skipped"],
    }
