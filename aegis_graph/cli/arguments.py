"""The arguments of each command. They are declared when the command is the one that was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from aegis_graph.cli.request_options import add_request_options
from aegis_graph.errors import AegisError

SHELLS = ("bash", "zsh", "tcsh")

Declare = Callable[[argparse.ArgumentParser], None]


class LazyParser(argparse.ArgumentParser):
    """A command's parser, which gets its arguments when the command is the one that was given.

    They name what the package knows, and importing that takes longer than showing the help.
    """

    declare: Declare | None = None

    # Without ``@override``: its import would hold up the help.
    def parse_known_args(  # type: ignore[explicit-override]  # a slow import
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As the base class does, with the arguments."""
        self.declare_arguments()
        return super().parse_known_args(args, namespace)

    def declare_arguments(self) -> None:
        """Add what is left out until the command is used."""
        # Once only: argparse refuses an argument that is there already.
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self)


def shared_options(**defaults: object) -> LazyParser:
    """The options that every command has; without a default, they leave what is set already."""
    shared = LazyParser(add_help=False)
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
    shared.add_argument(
        "--log-json",
        action="store_true",
        default=defaults.get("log_json", argparse.SUPPRESS),
        help="log each request to standard error, as one JSON object a line",
    )
    return shared


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``prompt``."""
    parser.add_argument(
        "words", nargs="*", metavar="PROMPT", help="- stands for what a pipe brings"
    )
    add_chat(parser)


def add_explain(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``explain``."""
    from aegis_graph.types import ORDERS  # noqa: PLC0415

    add_prompt(parser)
    parser.add_argument(
        "--order",
        choices=ORDERS,
        help="which provider goes first (default: routing.order of the configuration)",
    )


def add_chat(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``chat``."""
    from aegis_graph.types import DEFAULT_TASK  # noqa: PLC0415

    parser.add_argument(
        "--model", metavar="NAME", help="a model or a provider of the configuration, or an alias"
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="what it is for; budgets and reports go by it"
        f" (default: the file's, or {DEFAULT_TASK})",
    )
    parser.add_argument(
        "--max-wait-s",
        type=float,
        metavar="SECONDS",
        help="how long it may wait to be served at half the price",
    )
    add_request_options(
        parser,
        sensitivity="how private it is; confidential, pii and hipaa stay local"
        " (default: the file's, or internal)",
        cap="each answer",
        envelope="all of it",
    )


def add_init(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``init``."""
    parser.add_argument("--yes", action="store_true", help="ask nothing, take the defaults")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``completion``."""
    parser.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}"
    )


def add_costs(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``costs``."""
    from aegis_graph.types import GroupBy  # noqa: PLC0415

    words = get_args(GroupBy)

    parser.add_argument(
        "--month", metavar="YYYY-MM", help="default: this month; with --by month, all of them"
    )
    parser.add_argument(
        "--by",
        type=_group_by,
        default=words[0],
        metavar="WHAT",
        help=f"one of {', '.join(words)}, or tag:KEY for the values of a tag (default: {words[0]})",
    )
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument(
        "--latency", action="store_true", help="add percentiles of the answered calls' time"
    )
    parser.add_argument(
        "--savings",
        action="store_true",
        help="add what the same tokens would have cost at routing.baseline; reads every row",
    )


def _group_by(text: str) -> str:
    from aegis_graph.ledger.scopes import report_prefix  # noqa: PLC0415

    try:
        report_prefix(text)
    except AegisError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("by: ")) from error
    return text


def add_budgets(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``budgets``."""
    from aegis_graph.types import WINDOWS  # noqa: PLC0415

    # An option before the action (`aegis budgets --json set ...`) must not be undone after it.
    shared = shared_options()
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    change = actions.add_parser("set", parents=[shared], help="set a limit, for everybody at once")
    remove = actions.add_parser("remove", parents=[shared], help="take a limit away")
    for action in (change, remove):
        action.add_argument(
            "scope",
            metavar="SCOPE",
            help="total, or provider, model, task or user with :NAME, or tag:KEY=VALUE",
        )
        action.add_argument("window", metavar="WINDOW", help=f"one of {', '.join(WINDOWS)}")
    change.add_argument("usd", metavar="USD", help="the limit, like 12.50; 0 allows nothing")
    change.set_defaults(command="budgets set")
    remove.set_defaults(command="budgets remove")


def add_ledger(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """The arguments of ``ledger``."""
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
    add_bill(settle)
    add_export(add("export", "write every row to a file or a pipe"))


def add_bill(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``ledger reconcile`` that compare a provider's bill."""
    parser.add_argument(
        "--bill",
        type=Path,
        metavar="FILE",
        help="compare a bill: OpenAI's costs as JSON, FOCUS, or a CSV of day, provider, model, usd",
    )
    parser.add_argument(
        "--provider", metavar="NAME", help="the ledger's name for the provider that bills"
    )
    parser.add_argument(
        "--timezone", metavar="ZONE", help="of the days in a plain CSV (default: UTC)"
    )
    parser.add_argument(
        "--apply", action="store_true", help="give held rows what the bill says of them"
    )
    parser.add_argument("--yes", action="store_true", help="apply without asking")


def add_export(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``ledger export``."""
    from aegis_graph.types import EXPORT_FORMATS, FOCUS_VERSIONS  # noqa: PLC0415

    parser.add_argument(
        "--format",
        choices=EXPORT_FORMATS,
        default="csv",
        help="focus: the FinOps Foundation's columns, as CSV (default: csv)",
    )
    parser.add_argument(
        "--focus-version",
        choices=FOCUS_VERSIONS,
        default=FOCUS_VERSIONS[0],
        help=f"whose columns focus has (default: {FOCUS_VERSIONS[0]})",
    )
    parser.add_argument("--since", metavar="DAY", help="first day, like 2026-11-01")
    parser.add_argument("--until", metavar="DAY", help="the day after the last one")
    parser.add_argument("--provider", metavar="NAME", help="only its rows")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="written when complete (default: print)"
    )
