"""``aegis index``: documents into an index that stays, and their vectors."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aegis_graph.cli import NOT_ADMITTED, OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.request_options import choices_of
from aegis_graph.components.documents.skipped import skipped_lines, summary
from aegis_graph.components.index.index import DocumentIndex, create_index
from aegis_graph.components.index.report import EmbedReport, IndexStatus, UpdateReport
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import DocumentError, InvalidRequestError

_LINE_S = 10.0
"""Seconds between two lines of progress, where no person watches."""

OnNumber = Callable[[int, int], None]


def index(options: argparse.Namespace) -> int:
    """Bring an index up to date, or take something out of it, and show what changed."""
    config = load_config(options)
    documents = _open_index(options, config)
    if options.remove:
        return _remove(documents, options)
    with _progress("reading") as shown:
        report = documents.update(
            options.paths, on_file=lambda path, number, count: shown(number, count)
        )
    if not report.status.documents:
        raise DocumentError(f"no document could be read: {summary(report.skipped)}")
    embedded = _embed(documents, options) if options.embed else None
    if options.json:
        print(json.dumps(_as_json(documents, report, embedded), ensure_ascii=False))
    else:
        for line in _lines(documents, report, embedded):
            print(line)
        for line in skipped_lines(report.skipped):
            print(line, file=sys.stderr)
    return OK if embedded is None or not embedded.left else NOT_ADMITTED


def _remove(documents: DocumentIndex, options: argparse.Namespace) -> int:
    if not options.paths or options.embed:
        raise InvalidRequestError("--remove: name what to take out, and nothing else to do")
    report = documents.remove(options.paths)
    if options.json:
        print(json.dumps({"index": str(documents.path), **asdict(report)}, ensure_ascii=False))
    else:
        print(_index_line(documents, report.status))
        print(
            f"Removed  {_counted(report.documents, 'document')},"
            f" {_counted(report.passages, 'passage')}, {_counted(report.vectors, 'vector')}"
        )
    return OK


def _open_index(options: argparse.Namespace, config: RouterConfig) -> DocumentIndex:
    """The index that a command line names, with embeddings where it asks for them."""
    embeddings = None
    if options.embed:
        # Only here: an update alone needs neither the graph nor a client.
        from aegis_graph.embeddings import create_embeddings  # noqa: PLC0415

        embeddings = create_embeddings(config)
    return create_index(
        options.name,
        folder=options.index_dir,
        embeddings=embeddings,
        sensitivity=options.sensitivity,
        sensitivity_patterns=config.index.sensitivity,
    )


def _embed(documents: DocumentIndex, options: argparse.Namespace) -> EmbedReport:
    # How private a text is, its document says.
    given = {key: value for key, value in choices_of(options).items() if key != "sensitivity"}
    with _progress("embedding") as shown:
        return documents.embed(given, on_texts=shown)


@contextmanager
def _progress(what: str) -> Iterator[OnNumber]:
    """A bar where a person watches, and a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _line_now_and_then(what)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda number, count: bar.update(task, total=count, completed=number)


def _line_now_and_then(what: str) -> OnNumber:
    last = time.monotonic()

    def show(number: int, count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_S:
            last = time.monotonic()
            print(f"{what}: {number:,} of {count:,}", file=sys.stderr, flush=True)

    return show


def _lines(
    documents: DocumentIndex, report: UpdateReport, embedded: EmbedReport | None
) -> Iterator[str]:
    yield _index_line(documents, report.status)
    yield (
        f"Changes  {report.added:,} added, {report.changed:,} changed, {report.removed:,} removed,"
        f" {report.unchanged:,} unchanged"
    )
    if embedded is not None:
        left = f"; {embedded.left:,} left: {embedded.reason}" if embedded.left else ""
        yield (
            f"Vectors  {_counted(embedded.embedded, 'text')} embedded for"
            f" ${embedded.cost_usd.normalize():f}{left}"
        )


def _index_line(documents: DocumentIndex, status: IndexStatus) -> str:
    return (
        f"Index    {documents.path}: {_counted(status.documents, 'document')},"
        f" {_counted(status.passages, 'passage')}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _as_json(
    documents: DocumentIndex, report: UpdateReport, embedded: EmbedReport | None
) -> dict[str, Any]:
    facts = asdict(report)
    vectors = None
    if embedded is not None:
        vectors = {**asdict(embedded), "cost_usd": f"{embedded.cost_usd:f}"}
    return {"index": str(Path(documents.path)), **facts, "vectors": vectors}
