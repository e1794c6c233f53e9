"""How good the components are with your models, on our data or on your copy of a public data set.

    python benchmarks/quality.py answers --baseline --results results.jsonl
    python benchmarks/quality.py answers --oracle --providers ollama
    python benchmarks/quality.py relations --baseline --providers ollama
    python benchmarks/quality.py relations conll04_test.json --providers ollama,openai
    python benchmarks/quality.py decomposition hotpot_dev_distractor_v1.json --limit 100
    python benchmarks/quality.py citations asqa_eval_gtr_top100.json --judge openai --json out.json

It asks real models and costs what they cost; the budgets of the configuration hold. With
AEGIS_QUALITY_URL it asks the model at that address instead, which is taken to be free.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from scoring.arguments import LIMIT, PUBLIC_ONLY, parser
from scoring.formats import BadFileError, read_citations, read_names, read_questions, read_relations
from scoring.local_model import URL, local_config
from scoring.own_runs import OWN_TASKS, OwnRun
from scoring.runs import Column, Setting, run_citations, run_questions, run_relations
from scoring.tables import show_columns, show_sides, sides_json

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import AegisError


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run from the command line.

    Returns:
        0 done, 2 wrong usage, file or configuration, 3 not possible, 130 stopped.
    """
    options = parser(str(__doc__)).parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            config = _config(options, os.environ if environ is None else environ, Path(folder))
            providers = _providers(config, options.providers)
            _providers(config, options.judge)
            report = _run(options, config, providers)
    except (BadFileError, ValueError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 2
    except AegisError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        kept = f"; {options.results} has what was said so far" if options.results else ""
        print(f"quality: stopped{kept}", file=sys.stderr)
        return 130
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _config(options: argparse.Namespace, environ: Mapping[str, str], folder: Path) -> RouterConfig:
    """What the arguments name, else the model that the environment names, else the default."""
    named = options.config is not None or options.providers is not None
    if not named and (options.task == "all" or environ.get(URL)):
        return local_config(environ, folder)
    return RouterConfig.load(options.config)


def _run(
    options: argparse.Namespace, config: RouterConfig, providers: Sequence[str]
) -> dict[str, Any]:
    """Run, show and report."""
    if options.data is None:
        tasks = OWN_TASKS if options.task == "all" else [options.task]
        return {task: _run_own(task, options, config, providers) for task in tasks}
    for name in ("baseline", "results", "embeddings"):
        if getattr(options, name):
            raise ValueError(f"--{name}: only over our own data; leave {options.data} out")
    setting = Setting(config, options.concurrency, options.gleanings, options.store, options.judge)
    columns = asyncio.run(_run_public(options, setting, providers))
    judge = "by words" if options.judge is None else f"by {options.judge}"
    note = f"Entailment judged {judge}; its calls are not in the cost above."
    show_columns(
        f"{options.task}: {options.data.name}", columns, note * (options.task == "citations")
    )
    facts = {"task": options.task, "data": str(options.data), "judge": judge}
    return {**facts, "columns": {name: asdict(one) for name, one in columns.items()}}


def _run_own(
    task: str, options: argparse.Namespace, config: RouterConfig, providers: Sequence[str]
) -> dict[str, Any]:
    """Over our own data, once per provider; a search asks none, so it runs once."""
    for name in PUBLIC_ONLY:
        if getattr(options, name, None) is not None:
            raise ValueError(f"--{name.replace('_', '-')}: only over a public data set; name one")
    report = {}
    embeddings = options.embeddings or (config.source == URL and bool(config.embeddings))
    for provider in providers[:1] if task == "retrieval" else providers:
        run = OwnRun(
            config,
            provider,
            options.limit,
            options.concurrency,
            options.gleanings,
            options.max_output_tokens,
            options.baseline,
            embeddings,
            options.oracle,
            options.results,
        )
        sides = asyncio.run(run.run(task))
        model = next(row.model for row in config.providers if row.name == provider)
        named = f"{task}{' over the gold passages' if options.oracle else ''}"
        show_sides(named if task == "retrieval" else f"{named}: {provider}, {model}", sides)
        report["search" if task == "retrieval" else provider] = sides_json(sides)
    return report


async def _run_public(
    options: argparse.Namespace, setting: Setting, providers: Sequence[str]
) -> dict[str, Column]:
    """One provider after the other, so that their times can be compared."""
    columns: dict[str, Column] = {}
    path, limit = options.data, options.limit or LIMIT
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


if __name__ == "__main__":
    sys.exit(main())
