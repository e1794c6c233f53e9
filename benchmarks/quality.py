"""How good the components are with your providers, on your copy of a public data set.

    python benchmarks/quality.py relations conll04_test.json --providers ollama,openai
    python benchmarks/quality.py decomposition hotpot_dev_distractor_v1.json --limit 100
    python benchmarks/quality.py citations asqa_eval_gtr_top100.json --judge openai --json out.json

It asks real models and costs what they cost; the budgets of the configuration hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scoring.formats import BadFileError, read_citations, read_names, read_questions, read_relations
from scoring.runs import Column, Setting, run_citations, run_questions, run_relations

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import AegisError

LIMIT = 50
"""Examples by default, so that nobody pays for a whole data set by mistake."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: 0 done, 2 wrong usage, file or configuration, 3 not possible."""
    options = _parser().parse_args(arguments)
    try:
        config = RouterConfig.load(options.config)
        providers = _providers(config, options.providers)
        _providers(config, options.judge)
        setting = Setting(
            config, options.concurrency, options.gleanings, options.store, options.judge
        )
        columns = asyncio.run(_run(options, setting, providers))
    except (BadFileError, ValueError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 2
    except AegisError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 3
    _show(options, columns)
    if options.json is not None:
        report = {"task": options.task, "data": str(options.data), "judge": _judge(options)}
        columns_json = {name: asdict(column) for name, column in columns.items()}
        options.json.write_text(json.dumps({**report, "columns": columns_json}, indent=2) + "\n")
    return 0


async def _run(
    options: argparse.Namespace, setting: Setting, providers: Sequence[str]
) -> dict[str, Column]:
    """One provider after the other, so that their times can be compared."""
    columns: dict[str, Column] = {}
    path, limit = options.data, options.limit
    if options.task == "relations":
        names = read_names(options.relation_names) if options.relation_names else None
        relations = list(islice(read_relations(path, names), limit))
        for name in providers:
            columns[name] = await run_relations(setting, name, relations)
    elif options.task == "decomposition":
        questions = list(islice(read_questions(path), limit))
        for name in providers:
            for decompose in (False, True):
                label = f"{name}, {'with' if decompose else 'without'} decomposition"
                columns[label] = await run_questions(setting, name, questions, decompose=decompose)
    else:
        cited = list(islice(read_citations(path), limit))
        for name in providers:
            columns[name] = await run_citations(setting, name, cited)
    return columns


def _providers(config: RouterConfig, wanted: str | None) -> list[str]:
    known = [row.name for row in config.providers]
    names = known if wanted is None else [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(f"no provider {name!r} in {config.source}; known: {', '.join(known)}")
    return names


def _show(options: argparse.Namespace, columns: dict[str, Column]) -> None:
    table = Table(title=f"{options.task}: {options.data.name}")
    table.add_column("")
    for label in columns:
        table.add_column(label, justify="right")
    for figure in next(iter(columns.values())).figures:
        table.add_row(figure, *(_percent(one.figures[figure]) for one in columns.values()))
    rows: dict[str, list[Any]] = {
        "model": [one.model for one in columns.values()],
        "examples": [one.examples for one in columns.values()],
        "not complete": [one.incomplete for one in columns.values()],
        "calls": [one.calls for one in columns.values()],
        "cost in USD": [one.cost_usd for one in columns.values()],
        "seconds": [f"{one.seconds:.1f}" for one in columns.values()],
    }
    for name, values in rows.items():
        table.add_row(name, *map(str, values))
    console = Console(width=max(100, 24 * (1 + len(columns))))
    console.print(table)
    if options.task == "citations":
        console.print(f"Entailment judged {_judge(options)}; its calls are not in the cost above.")


def _judge(options: argparse.Namespace) -> str:
    return "by words" if options.judge is None else f"by {options.judge}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quality", description=__doc__.splitlines()[0])
    tasks = parser.add_subparsers(dest="task", required=True)
    helps = {
        "relations": "CoNLL04 (SpERT's JSON) or Re-DocRED: micro-F1 of entities and relations",
        "decomposition": "HotpotQA or MuSiQue: recall@5 and answer F1, with and without",
        "citations": "ALCE: citation recall and precision, answer match",
    }
    for task, text in helps.items():
        one = tasks.add_parser(task, help=text, description=text)
        one.add_argument("data", type=Path, help="your copy of the file, JSON or JSON lines")
        one.add_argument("--providers", help="names from the configuration, by comma; default all")
        one.add_argument("--config", help="the configuration; default as everywhere")
        one.add_argument("--limit", type=_positive, default=LIMIT, help=f"examples ({LIMIT})")
        one.add_argument("--concurrency", type=_positive, default=4, help="examples at once (4)")
        one.add_argument("--json", type=Path, help="write the figures there as well")
        one.set_defaults(gleanings=0, store=None, judge=None, relation_names=None)
    relations, cited = tasks.choices["relations"], tasks.choices["citations"]
    relations.add_argument("--gleanings", type=int, default=0, help="rounds at most (0)")
    relations.add_argument("--store", type=Path, help="file that keeps answers for the next run")
    relations.add_argument("--relation-names", type=Path, help="Re-DocRED's rel_info.json")
    cited.add_argument("--judge", help="provider that judges entailment; default: by words")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
