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
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from aegis_graph.errors import (
    AegisError,
    LedgerError,
    NoProviderError,
    RoutingError,
    StoreError,
)

OK, USAGE_ERROR, NOT_ADMITTED, PROVIDERS_FAILED, INTERRUPTED = 0, 2, 3, 4, 130

COMMANDS = {
    "ask": "aegis_graph.cli.ask:ask",
    "describe": "aegis_graph.cli.describe:describe",
    "costs": "aegis_graph.cli.costs:costs",
    "budgets": "aegis_graph.cli.budgets:budgets",
    "budgets set": "aegis_graph.cli.budgets:set_budget",
    "budgets remove": "aegis_graph.cli.budgets:remove_budget",
    "doctor": "aegis_graph.cli.doctor:doctor",
    "ledger migrate": "aegis_graph.cli.ledger:migrate",
    "ledger prune": "aegis_graph.cli.ledger:prune",
    "ledger verify": "aegis_graph.cli.ledger:verify",
    "ledger reconcile": "aegis_graph.cli.ledger:reconcile",
    "ledger export": "aegis_graph.cli.export:export",
}
"""The function of each command. Its module is imported when the command runs: what one command
needs, the others need not wait for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if "command" not in options:
        # The one thing that a first look needs.
        parser.print_help()
        return OK
    try:
        return _run(options)
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


def _run(options: argparse.Namespace) -> int:
    module, _, function = COMMANDS[options.command].partition(":")
    return int(getattr(import_module(module), function)(options))


def exit_status(error: AegisError) -> int:
    """The exit status that an error means."""
    # First: a missing provider and an exhausted budget are routing errors as well.
    if isinstance(error, NoProviderError | LedgerError | StoreError):
        return NOT_ADMITTED
    return PROVIDERS_FAILED if isinstance(error, RoutingError) else USAGE_ERROR


_Declare = Callable[[argparse.ArgumentParser], None]


class _LazyParser(argparse.ArgumentParser):
    """A command's parser, which gets its arguments when the command is the one that was given.

    They name what the package knows, and importing that takes longer than showing the help.
    """

    declare: _Declare | None = None

    # Without ``@override``: its import would hold up the help.
    def parse_known_args(  # type: ignore[explicit-override]  # a slow import
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As the base class does, with the arguments."""
        # Once only: argparse refuses an argument that is there already.
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self)
        return super().parse_known_args(args, namespace)


class _ShowVersion(argparse.Action):
    """Shows the version; reading it takes a while, so only where it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **rest: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **rest)

    # Without ``@override``: its import would hold up the help.
    def __call__(  # type: ignore[explicit-override]  # a slow import
        self, parser: argparse.ArgumentParser, *_: object
    ) -> None:
        version = import_module("aegis_graph").__version__
        print(f"aegis {version}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    # Before the command or after it: only the parser above both has the defaults.
    shared = _shared()
    parser = argparse.ArgumentParser(
        prog="aegis",
        description="Route LLM calls under hard budgets, and know what they cost.",
        parents=[_shared(config=None, json=False)],
    )
    parser.add_argument("--version", action=_ShowVersion, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_LazyParser)

    def add(name: str, text: str, declare: _Declare | None = None) -> None:
        command = commands.add_parser(name, parents=[shared], help=text)
        command.set_defaults(command=name)
        command.declare = declare

    add("ask", "answer a question from documents", _add_ask)
    add("describe", "say what is in images, or transcribe them", _add_describe)
    add("costs", "show what calls cost", _add_costs)
    add("budgets", "show the limits, and change them", _add_budgets)
    add("doctor", "check the providers and the ledger")
    ledger = commands.add_parser("ledger", help="take care of the ledger")
    ledger.declare = lambda one: _add_ledger(one, shared)
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
    # Imported here, like the others below: only the command that was given pays for it.
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


def _add_describe(parser: argparse.ArgumentParser) -> None:
    # Its arguments stand beside it, and name what can be asked.
    from aegis_graph.cli.describe import add_arguments  # noqa: PLC0415

    add_arguments(parser)


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


def _add_budgets(parser: argparse.ArgumentParser) -> None:
    from aegis_graph.types import WINDOWS  # noqa: PLC0415

    # An option before the action (`aegis budgets --json set ...`) must not be undone after it.
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
    change.set_defaults(command="budgets set")
    remove.set_defaults(command="budgets remove")


def _add_ledger(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    # Its arguments stand beside it, and name what the ledger can write.
    from aegis_graph.cli.export import add_arguments  # noqa: PLC0415

    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, parents=[shared], help=text, description=text)
        action.set_defaults(command=f"ledger {name}")
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
    add_arguments(add("export", "write every row to a file or a pipe"))
