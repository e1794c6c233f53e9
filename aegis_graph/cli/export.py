"""``aegis ledger export``: every row of the ledger, to a file or a pipe."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.export.export import require
from aegis_graph.ledger.factory import create_ledger


def export(options: argparse.Namespace) -> int:
    """Write the ledger's rows in the format that was asked for."""
    since, until = _day(options.since, "--since"), _day(options.until, "--until")
    ledger = create_ledger(load_config(options))
    try:
        # Before a file is opened: where a package is missing, nothing is left behind.
        require(options.format)
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error
    # Bytes that are no text would garble a terminal.
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise ConfigError("--format parquet: name a file with --output, or use a pipe")
    with _output_stream(options.output) as stream, _progress() as progress:
        ledger.export_blocking(
            stream,
            format=options.format,
            since=since,
            until=until,
            provider=options.provider,
            focus_version=options.focus_version,
            progress=progress,
        )
    return OK


def _day(text: str | None, option: str) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ConfigError(f"{option}: {text!r} is not a day like 2026-11-01") from error


@contextmanager
def _output_stream(path: Path | None) -> Iterator[BinaryIO]:
    """Where to write: a file gets its name when it is complete, so no half of one stays."""
    if path is None:
        try:
            yield sys.stdout.buffer
        # A kind of OSError, and no fault: the reader of the pipe has seen enough.
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ConfigError(f"standard output: {error.strerror or error}") from error
        return
    # Beside the file, because a rename is atomic on one file system only; two exports at once have
    # two names.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            # On disk before it gets its name: a crash must not leave the name on half a file.
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror or error}") from error
    finally:
        # After the rename there is none; after a failure it would be left behind.
        part.unlink(missing_ok=True)


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    """Show the rows so far on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda rows: print(f"\r{rows:,} rows", end="", file=sys.stderr, flush=True)
    finally:
        # The counter writes over its own line, and never ends it.
        print(file=sys.stderr)
