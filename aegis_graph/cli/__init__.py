"""The command line: ``aegis ask``, ``aegis costs``, ``aegis doctor``.

Data goes to standard output, everything else to standard error. Exit status: 0 done, 2 wrong usage
or configuration, 3 nothing may or can be asked (budget, privacy, keys, ledger), 4 every provider
failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aegis_graph.errors import (
    AegisError,
    LedgerError,
    NoProviderError,
    RoutingError,
)
from aegis_graph.state import SENSITIVITIES

DONE, WRONG, NOT_ASKED, FAILED, INTERRUPTED = 0, 2, 3, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AegisError as error:
        print(f"aegis: {error}", file=sys.stderr)
        return exit_status(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def exit_status(error: AegisError) -> int:
    """The exit status that an error means."""
    if isinstance(error, NoProviderError | LedgerError):
        return NOT_ASKED
    return FAILED if isinstance(error, RoutingError) else WRONG


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: $AEGIS_CONFIG, or none)",
    )
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    parser = argparse.ArgumentParser(
        prog="aegis", description="Route LLM calls under hard budgets, and know what they cost."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_ask(commands.add_parser("ask", parents=[shared], help="answer a question from documents"))
    _add_costs(commands.add_parser("costs", parents=[shared], help="show what calls cost"))
    doctor = commands.add_parser(
        "doctor", parents=[shared], help="check the providers and the ledger"
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _add_ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument(
        "--docs",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help="Markdown, text and PDF files, and folders of them",
    )
    parser.add_argument(
        "--sensitivity",
        choices=SENSITIVITIES,
        default="internal",
        help="how private question and documents are; confidential, pii and hipaa stay local"
        " (default: internal)",
    )
    parser.add_argument("--user", default="default", metavar="ID", help="whom the cost belongs to")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", help="cap of the answer")
    parser.set_defaults(run=_ask)


def _add_costs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--month", metavar="YYYY-MM", help="default: this month")
    parser.add_argument(
        "--by", choices=("provider", "model", "task", "user", "day"), default="provider"
    )
    parser.set_defaults(run=_costs)


# Each command's module is imported when it is called: what one needs, the others need not wait for.


def _ask(options: argparse.Namespace) -> int:
    from aegis_graph.cli.ask import ask  # noqa: PLC0415

    return ask(options)


def _costs(options: argparse.Namespace) -> int:
    from aegis_graph.cli.costs import costs  # noqa: PLC0415

    return costs(options)


def _doctor(options: argparse.Namespace) -> int:
    from aegis_graph.cli.doctor import doctor  # noqa: PLC0415

    return doctor(options)
