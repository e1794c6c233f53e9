"""The command line: ``aegis ask``, ``describe``, ``costs``, ``budgets``, ``ledger``, ``doctor``.

Data goes to standard output, everything else to standard error. Exit status: 0 done, 2 wrong usage
or configuration, 3 nothing may or can be asked (budget, privacy, keys, ledger), 4 every provider
failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from aegis_graph.errors import (
    AegisError,
    LedgerError,
    NoProviderError,
    RoutingError,
)

OK, USAGE_ERROR, NOT_ADMITTED, PROVIDERS_FAILED, INTERRUPTED = 0, 2, 3, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AegisError as error:
        print(f"aegis: {error}", file=sys.stderr)
        return exit_status(error)
    except ModuleNotFoundError as error:
        # One that says how to install an extra is raised from Python's own; any other is a fault.
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        print(f"aegis: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def exit_status(error: AegisError) -> int:
    """The exit status that an error means."""
    if isinstance(error, NoProviderError | LedgerError):
        return NOT_ADMITTED
    return PROVIDERS_FAILED if isinstance(error, RoutingError) else USAGE_ERROR


class _LazyParser(argparse.ArgumentParser):
    """A command's parser, which gets its arguments when the command is the one that was given.

    They name what the package knows, and importing that takes longer than showing the help.
    """

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base class does, with the arguments."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    shared = _shared(config=None, json=False)
    parser = argparse.ArgumentParser(
        prog="aegis", description="Route LLM calls under hard budgets, and know what they cost."
    )
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_LazyParser
    )

    def add(name: str, text: str, fill: Callable[[argparse.ArgumentParser], None]) -> None:
        commands.add_parser(name, parents=[shared], help=text).fill = fill

    add("ask", "answer a question from documents", _add_ask)
    add("describe", "say what is in images, or transcribe them", _add_describe)
    add("costs", "show what calls cost", _add_costs)
    add("budgets", "show the limits, and change them", _add_budgets)
    add("doctor", "check the providers and the ledger", _add_doctor)
    ledger = commands.add_parser("ledger", help="take care of the ledger")
    ledger.fill = lambda one: _add_ledger(one, shared)
    return parser


def _shared(**defaults: object) -> _LazyParser:
    """The options that every command has; without a default, they leave what is set already."""
    shared = _LazyParser(add_help=False)
    shared.add_argument(
        "--config",
        type=Path,
        default=defaults.get("config", argparse.SUPPRESS),
        metavar="FILE",
        help="configuration (default: $AEGIS_CONFIG, or none)",
    )
    shared.add_argument(
        "--json",
        action="store_true",
        default=defaults.get("json", argparse.SUPPRESS),
        help="print one JSON object",
    )
    return shared


def _add_ask(parser: argparse.ArgumentParser) -> None:
    from aegis_graph.types import SENSITIVITIES  # noqa: PLC0415

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
    parser.add_argument("--max-output-tokens", type=int, metavar="N", help="cap of each call")
    parser.add_argument(
        "--max-cost-usd", metavar="USD", help="what the whole run may cost, like 0.05"
    )
    parser.add_argument(
        "--verify",
        choices=("rule", "model"),
        default="rule",
        help="who judges whether the sources support each sentence; a model costs a call"
        " (default: rule)",
    )
    parser.add_argument(
        "--no-plan", action="store_true", help="never take the question apart, which costs a call"
    )
    parser.set_defaults(run=_ask)


def _add_describe(parser: argparse.ArgumentParser) -> None:
    # Its arguments stand beside it, and name what can be asked.
    from aegis_graph.cli.describe import add_arguments  # noqa: PLC0415

    add_arguments(parser)
    parser.set_defaults(run=_describe)


def _add_costs(parser: argparse.ArgumentParser) -> None:
    from aegis_graph.types import GroupBy  # noqa: PLC0415

    parser.add_argument(
        "--month", metavar="YYYY-MM", help="default: this month; with --by month, all of them"
    )
    parser.add_argument(
        "--by",
        choices=get_args(GroupBy),
        default="provider",
    )
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument(
        "--latency", action="store_true", help="add percentiles of the answered calls' time"
    )
    parser.set_defaults(run=_costs)


def _add_budgets(parser: argparse.ArgumentParser) -> None:
    from aegis_graph.types import WINDOWS  # noqa: PLC0415

    parser.set_defaults(run=_budgets, action="budgets")
    # What `aegis budgets --json set ...` said before the action must not be undone after it.
    shared = _shared()
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    change = actions.add_parser("set", parents=[shared], help="set a limit, for everybody at once")
    remove = actions.add_parser("remove", parents=[shared], help="take a limit away")
    for action in (change, remove):
        action.add_argument(
            "scope", metavar="SCOPE", help="total, or provider, model, task or user with :NAME"
        )
        action.add_argument("window", metavar="WINDOW", help=f"one of {', '.join(WINDOWS)}")
    change.add_argument("usd", metavar="USD", help="the limit, like 12.50; 0 allows nothing")
    change.set_defaults(action="set_budget")
    remove.set_defaults(action="remove_budget")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_doctor)


def _add_ledger(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    # Its arguments stand beside it, and name what the ledger can write.
    from aegis_graph.cli.export import add_arguments  # noqa: PLC0415

    parser.set_defaults(run=_ledger)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, parents=[shared], help=text, description=text)
        action.set_defaults(action=name)
        return action

    move = add("migrate", "copy a SQLite ledger into PostgreSQL; safe to run again")
    default = "(default: ledger.url of the configuration)"
    move.add_argument("--from", dest="source", metavar="URL", help=f"sqlite:///FILE {default}")
    move.add_argument("--to", dest="target", metavar="URL", help=f"postgresql://... {default}")
    prune = add("prune", "drop the rows of old days; every total stays exact")
    prune.add_argument("--before", required=True, metavar="DATE", help="the first day that stays")
    add("verify", "recompute every total from the rows; status 3 when one differs")
    settle = add("reconcile", "list attempts that never reported, or settle one to its real cost")
    settle.add_argument("id", nargs="?", type=int, metavar="ID", help="the row")
    settle.add_argument("usd", nargs="?", metavar="USD", help="what it really cost")
    rows = add("export", "write every row to a file or a pipe")
    add_arguments(rows)
    rows.set_defaults(run=_export)


# Each command's module is imported when it is called: what one needs, the others need not wait for.


def _ask(options: argparse.Namespace) -> int:
    from aegis_graph.cli.ask import ask  # noqa: PLC0415

    return ask(options)


def _costs(options: argparse.Namespace) -> int:
    from aegis_graph.cli.costs import costs  # noqa: PLC0415

    return costs(options)


def _budgets(options: argparse.Namespace) -> int:
    from aegis_graph.cli import budgets  # noqa: PLC0415

    return int(getattr(budgets, options.action)(options))


def _ledger(options: argparse.Namespace) -> int:
    from aegis_graph.cli import ledger  # noqa: PLC0415

    return int(getattr(ledger, options.action)(options))


def _describe(options: argparse.Namespace) -> int:
    from aegis_graph.cli.describe import describe  # noqa: PLC0415

    return describe(options)


def _export(options: argparse.Namespace) -> int:
    from aegis_graph.cli.export import export  # noqa: PLC0415

    return export(options)


def _doctor(options: argparse.Namespace) -> int:
    from aegis_graph.cli.doctor import doctor  # noqa: PLC0415

    return doctor(options)
