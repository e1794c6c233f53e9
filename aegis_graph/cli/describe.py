"""``aegis describe``: what is in images, or what is written in them, one result each."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aegis_graph.cli import NOT_ADMITTED, OK, PROVIDERS_FAILED, USAGE_ERROR
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import budget_lines, new_console, print_lines
from aegis_graph.cli.request_options import choices_of
from aegis_graph.components.image_describer.graph import create_image_describer
from aegis_graph.components.image_describer.results import ImageResult
from aegis_graph.components.image_describer.store import create_image_store
from aegis_graph.components.router_node import cost_usd
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import DocumentError, InvalidRequestError
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.routing.router import create_router

# By name: a result is JSON, and carries the name of its error's class.
_USAGE_ERRORS = {DocumentError.__name__, InvalidRequestError.__name__}
_NOT_ADMITTED = {"NoProviderError", "BudgetExceededError", "LimitExceededError"}
LABEL = 12
"""Columns before what a label names."""


def describe(options: argparse.Namespace) -> int:
    """Describe images, and show what it cost and which providers were asked."""
    # The one line of our own says it already.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    config = load_config(options, RouterConfig.load_vision)
    ledger = create_ledger(config)
    router = create_router(config, ledger=ledger)
    graph = create_image_describer(router, store=create_image_store(config))
    request = {
        "paths": [str(path) for path in options.paths],
        "kind": options.kind,
        "language": options.language,
        "again": options.again,
        **choices_of(options),
    }
    result, budgets = run_async(_run(graph, request, ledger), before_leaving=ledger.close)
    results: list[ImageResult] = result["results"]
    if options.json:
        summary = {**result, "cost_usd": f"{cost_usd(result['attempts']):f}"}
        print(json.dumps(summary, ensure_ascii=False))
    else:
        _print_results(new_console(), results, budgets, config)
    for line in _error_lines(results):
        print(line, file=sys.stderr)
    return _status(results)


async def _run(
    graph: Any, request: dict[str, Any], ledger: SqlLedger
) -> tuple[dict[str, Any], list[BudgetStatus]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("${task.fields[usd]}"),
    )
    shown = sys.stderr.isatty()
    result: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("finding images", total=None, usd=Decimal(0))
        usd = Decimal(0)
        async for mode, data in graph.astream(request, stream_mode=["custom", "values"]):
            if mode == "values":
                result = data
            elif data["event"] == "image_started":
                bar.update(task, total=data["count"], description=f"looking at {data['source']}")
            elif data["event"] == "image_done":
                usd += Decimal(data["cost_usd"])
                bar.update(task, advance=1, usd=usd)
    wanted = {key: result[key] for key in ("results", "attempts", "degraded", "degraded_reason")}
    return wanted, await ledger.budgets()


def _status(results: Sequence[ImageResult]) -> int:
    """The exit status: the user's own mistakes first, then what may not be asked."""
    kinds = {one["error_type"] for one in results if one["error"] is not None}
    if kinds & _USAGE_ERRORS:
        return USAGE_ERROR
    if kinds & _NOT_ADMITTED:
        return NOT_ADMITTED
    return PROVIDERS_FAILED if kinds else OK


def _print_results(
    console: Console,
    results: Sequence[ImageResult],
    budgets: Sequence[BudgetStatus],
    config: RouterConfig,
) -> None:
    lines = [line for one in results for line in _image_lines(one)]
    lines += ["Route", *_route_lines(results), "", *_sum_lines(results)]
    lines += budget_lines([one for one in budgets if one.limit_nano_usd])
    lines += [f"Ledger  {config.ledger.url_without_password.removeprefix('sqlite:///')}"]
    print_lines(console, lines)


def _error_lines(results: Sequence[ImageResult]) -> Iterator[str]:
    """Each reason once, with the images that it is about."""
    images: dict[str, list[str]] = {}
    for one in results:
        if one["error"] is not None:
            images.setdefault(one["error"], []).append(one["source"])
    for error, sources in images.items():
        yield f"aegis: {', '.join(sources)}: {error}"


def _image_lines(one: ImageResult) -> Iterator[str]:
    yield one["source"]
    if one["error"] is not None:
        yield f"  {'No answer':<{LABEL}}for the reason on standard error"
    if one["degraded_reason"]:
        yield f"  {'Note':<{LABEL}}{one['degraded_reason']}"
    yield from _block("Description", one["description"])
    yield from _block("Text", one["text"])
    if one["objects"]:
        yield f"  {'Objects':<{LABEL}}{', '.join(one['objects'])}"
    if one["colours"]:
        names = ", ".join(_colour(colour) for colour in one["colours"])
        counted = " (counted)" if one["colours_by"] == "computed" else ""
        yield f"  {'Colours':<{LABEL}}{names}{counted}"
    if one["provider"]:
        cost = "kept from before, $0" if one["kept"] else f"${one['cost_usd']}"
        yield f"  {'By':<{LABEL}}{one['provider']} ({one['model']}), {cost}"
    yield ""


def _block(label: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines()):
        yield f"  {label if number == 0 else '':<{LABEL}}{line}"


def _colour(colour: Mapping[str, Any]) -> str:
    share = "" if colour["share"] is None else f" {colour['share']:.0%}"
    return f"{colour['name']}{share}"


def _route_lines(results: Sequence[ImageResult]) -> Iterator[str]:
    """The providers asked, how often and with what result; then those not asked, and why."""
    asked: Counter[tuple[str, str, str]] = Counter()
    passed: Counter[tuple[str, str, str]] = Counter()
    for one in results:
        for attempt in one["attempts"]:
            why = "" if attempt["status"] == "answered" else attempt["reason"]
            asked[attempt["provider"], attempt["status"], why] += 1
        for skip in one["skipped"]:
            passed[skip["provider"], "not asked", skip["reason"]] += 1
    rows = [*asked.items(), *passed.items()]
    if not rows:
        yield "  nobody was asked"
    width = max((len(provider) for (provider, _, _), _ in rows), default=0)
    for (provider, status, why), count in rows:
        yield f"  {provider:<{width}}  {count} {status:<9}  {why}".rstrip()


def _sum_lines(results: Sequence[ImageResult]) -> Iterator[str]:
    failed = sum(one["error"] is not None for one in results)
    kept = sum(one["kept"] for one in results)
    usd = cost_usd([attempt for one in results for attempt in one["attempts"]])
    parts = [f"{len(results) - failed} of {len(results)} answered"]
    parts += [f"{kept} kept from before"] if kept else []
    parts += [f"{failed} without an answer"] if failed else []
    yield f"Images  {', '.join(parts)}"
    yield f"Cost    ${usd:f}"
