"""The arguments of ``bulk``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aegis_graph.cli.document_arguments import add_index_dir
from aegis_graph.cli.request_options import add_request_options

GRAPHS = ("relations", "describe", "ask")
"""The graphs of this package that are known by a name."""


def add_bulk(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """The arguments of ``bulk`` and of its actions."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, parents=[shared], help=text, description=text)
        action.set_defaults(command=f"bulk {name}")
        return action

    run = add("run", "run a graph over many items, or go on where it was stopped")
    _add_job(run)
    _add_running(run)
    forecast = add("forecast", "run a few items, and say what all of them would cost")
    _add_job(forecast)
    _add_running(forecast)
    forecast.add_argument(
        "--sample", type=int, default=50, metavar="N", help="items that are run (default: 50)"
    )
    resume = add("resume", "go on with a job, as it was begun")
    _add_named(resume)
    _add_running(resume)
    _add_named(add("status", "show how far a job is"))
    _add_named(add("retry", "put the items that were set aside back; `resume` runs them"))
    _add_named(add("cancel", "let the workers of a job stop; `resume` goes on with it"))


def _add_named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the job's name, or the folder of its results")


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--graph",
        required=True,
        metavar="GRAPH",
        help=f"{', '.join(GRAPHS)}, or MODULE:NAME of a compiled graph or of a function that makes"
        " one",
    )
    parser.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="documents or images, folders and patterns of them, or files with an item a row:"
        " .jsonl, .csv, .parquet",
    )
    parser.add_argument(
        "--results", required=True, type=Path, metavar="DIR", help="the folder of the results"
    )
    parser.add_argument("--name", metavar="NAME", help="of the job (default: that of the folder)")
    parser.add_argument(
        "--key",
        metavar="FIELD",
        help="the column that names an item, source for documents and images (default: a hash of"
        " the item)",
    )
    parser.add_argument(
        "--field",
        dest="fields",
        type=_field,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what every item has in its input besides, like kind=text",
    )
    parser.add_argument(
        "--format", choices=("jsonl", "parquet"), default="jsonl", help="of the results"
    )
    _add_documents(parser)
    add_request_options(
        parser,
        sensitivity="how private the items are; confidential, pii and hipaa stay local"
        " (default: the file's, or internal)",
        cap="each answer",
    )


def _add_documents(parser: argparse.ArgumentParser) -> None:
    documents = parser.add_argument_group("what `ask` answers from")
    documents.add_argument("--docs", nargs="+", type=Path, metavar="PATH", help="documents")
    documents.add_argument("--index", metavar="NAME", help="an index of `aegis index`, or its file")
    add_index_dir(documents)
    documents.add_argument(
        "--no-plan", action="store_true", help="never take a question apart, which costs a call"
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-cost-usd",
        metavar="USD",
        help="what the whole job may cost, with all of its runs, like 60",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="items at once in each worker (default: 32)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--max-attempts",
        type=int,
        metavar="N",
        help="after which an item that fails is set aside (default: 3)",
    )
    parser.add_argument(
        "--tier",
        choices=("flex", "batch"),
        help="at half the price where a provider has it: answers that may wait, or its files",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), help="what runs the workers (default: local)"
    )


def _field(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE, like kind=text")
    return key, value
