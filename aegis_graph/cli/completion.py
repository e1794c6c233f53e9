"""``aegis completion``: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from aegis_graph.cli import OK
from aegis_graph.cli.arguments import LazyParser
from aegis_graph.cli.commands import command_parser


def completion(options: argparse.Namespace) -> int:
    """Print the script for a shell, made from the parser itself."""
    parser = command_parser()
    for one in _parsers(parser):
        # The script names every command's arguments, and not those of one.
        if isinstance(one, LazyParser):
            one.declare_arguments()
        for action in one._actions:
            if action.metavar in {"FILE", "PATH"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
    print(shtab.complete(parser, options.shell))
    return OK


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, each before its own actions are looked at."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _parsers(one)
