"""``aegis explain``: which provider a prompt would go to, and why; nothing is asked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import HumanMessage

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import (
    TableColumn,
    budget_lines,
    new_console,
    print_lines,
    print_table,
    route_lines,
)
from aegis_graph.cli.prompt import prompt_text
from aegis_graph.cli.request_options import choices_of
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.pricing.money import short_usd_text, usd_text
from aegis_graph.routing.explain import ExplainedCandidate, Explanation, explain
from aegis_graph.routing.router import create_router
from aegis_graph.types import asked_as


def explain_prompt(options: argparse.Namespace) -> int:
    """Show the plan of a prompt with its numbers."""
    asked = _asked(options)
    config = load_config(options)
    ledger = create_ledger(config)
    plan = run_async(explain(create_router(config, ledger=ledger), ledger, asked))
    if options.json:
        print(json.dumps(_as_json(plan), ensure_ascii=False))
        return OK
    console = new_console()
    if plan.candidates:
        title = f"Asked in this order ({plan.order}), each if the one before it fails"
        print_table(console, title, list(_columns(plan.candidates)))
    else:
        print_lines(console, ["No provider would be asked."])
    if plan.accept is not None:
        print_lines(console, [f"An answer must pass {plan.accept}, else the next one is asked."])
    if plan.skipped:
        print_lines(console, route_lines([], plan.skipped))
    print_lines(console, budget_lines(plan.budgets))
    return OK


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    # The envelope is that of a run.
    run = {} if options.max_cost_usd is None else {"run_id": uuid4().hex}
    return {"messages": [HumanMessage(prompt_text(options.words))], **choices_of(options), **run}


def _columns(candidates: Sequence[ExplainedCandidate]) -> Iterator[TableColumn]:
    yield TableColumn("provider", [asked_as(one.provider, one.tier) for one in candidates])
    yield TableColumn("model", [one.model for one in candidates], rank=2)
    expected = [one.expected for one in candidates]
    numbers = (
        ("expected USD", 0, [short_usd_text(one.nano_usd) for one in expected]),
        ("at most USD", 1, [short_usd_text(one.most_nano_usd) for one in candidates]),
        ("tokens in", 4, [f"{one.input_tokens:,}" for one in expected]),
        ("cached", 6, [f"{one.cached_tokens:,}" for one in expected]),
        ("tokens out", 5, [f"{one.output_tokens:,}" for one in expected]),
        ("seconds", 3, [_seconds(one.whole_ms) for one in expected]),
    )
    for heading, rank, cells in numbers:
        yield TableColumn(heading, cells, number=True, rank=rank)
    yield TableColumn("reason", [one.reason for one in candidates], wraps=True, rank=7)


def _seconds(ms: int | None) -> str:
    return "?" if ms is None else f"{ms / 1000:.1f}"


def _as_json(plan: Explanation) -> dict[str, Any]:
    return {
        "order": plan.order,
        "accept": plan.accept,
        "candidates": [
            {
                "provider": one.provider,
                "model": one.model,
                "tier": one.tier,
                "reason": one.reason,
                "expected_usd": usd_text(one.expected.nano_usd),
                "most_usd": usd_text(one.most_nano_usd),
                "expected_input_tokens": one.expected.input_tokens,
                "expected_cached_input_tokens": one.expected.cached_tokens,
                "expected_output_tokens": one.expected.output_tokens,
                "expected_latency_ms": one.expected.whole_ms,
            }
            for one in plan.candidates
        ],
        "skipped": plan.skipped,
        "budgets": [
            {
                "scope": one.scope,
                "window": one.window,
                "limit_usd": usd_text(one.limit_nano_usd),
                "left_usd": usd_text(one.left_nano_usd),
            }
            for one in plan.budgets
        ],
    }
