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
from aegis_graph.config.ledger_spec import SQLITE
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.export.export import require
from aegis_graph.ledger.factory import create_ledger


def export(options: argparse.Namespace) -> int:
    """Write the ledger's rows in the format that was asked for."""
    since, until = _day(options.since, "--since"), _day(options.until, "--until")
    config = load_config(options)
    ledger = create_ledger(config)
    try:
        # Before a file is opened: where a package is missing, nothing is left behind.
        require(options.format)
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error
    # Bytes that are no text would garble a terminal.
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise ConfigError("--format parquet: name a file with --output, or use a pipe")
    if options.output is not None:
        _spare_own_files(options.output, config)
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


def _spare_own_files(path: Path, config: RouterConfig) -> None:
    """Refuse to write over the ledger that is exported, and over what belongs to it."""
    own = [Path(config.source)] if config.is_from_file else []
    if config.ledger.url.startswith(SQLITE):
        database = os.path.realpath(config.ledger.url.removeprefix(SQLITE))
        own += [Path(f"{database}{end}") for end in ("", "-wal", "-shm", "-journal", ".key")]
    if os.path.realpath(path) in {os.path.realpath(one) for one in own}:
        raise ConfigError(f"--output {path}: is the ledger's own, or its configuration")


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
    try:
        # A device or a pipe is written to, and a folder says what it is; none of them is replaced.
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                yield stream
        else:
            # A link stays one: what it leads to is written.
            yield from _complete_file(path.resolve())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror or error}") from error


def _complete_file(path: Path) -> Iterator[BinaryIO]:
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
