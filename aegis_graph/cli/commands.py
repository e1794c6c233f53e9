"""The commands: which there are, and what runs each of them."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from aegis_graph.cli import INTERRUPTED, NOT_ADMITTED, OK, PROVIDERS_FAILED, USAGE_ERROR
from aegis_graph.cli.arguments import (
    Declare,
    LazyParser,
    add_budgets,
    add_chat,
    add_completion,
    add_costs,
    add_explain,
    add_init,
    add_ledger,
    add_prompt,
    shared_options,
)
from aegis_graph.cli.bulk_arguments import add_bulk
from aegis_graph.cli.document_arguments import add_ask, add_describe, add_index
from aegis_graph.cli.server_arguments import add_keys, add_serve
from aegis_graph.errors import (
    AegisError,
    ConfigError,
    LedgerError,
    NoProviderError,
    RoutingError,
    StoreError,
)

COMMANDS = {
    "prompt": "aegis_graph.cli.prompt:prompt",
    "chat": "aegis_graph.cli.chat:chat",
    "ask": "aegis_graph.cli.ask:ask",
    "index": "aegis_graph.cli.index:index",
    "describe": "aegis_graph.cli.describe:describe",
    "bulk run": "aegis_graph.cli.bulk:run",
    "bulk forecast": "aegis_graph.cli.bulk:forecast",
    "bulk resume": "aegis_graph.cli.bulk:resume",
    "bulk status": "aegis_graph.cli.bulk_jobs:status",
    "bulk retry": "aegis_graph.cli.bulk_jobs:retry",
    "bulk cancel": "aegis_graph.cli.bulk_jobs:cancel",
    "explain": "aegis_graph.cli.explain:explain_prompt",
    "costs": "aegis_graph.cli.costs:costs",
    "budgets": "aegis_graph.cli.budgets:budgets",
    "budgets set": "aegis_graph.cli.budgets:set_budget",
    "budgets remove": "aegis_graph.cli.budgets:remove_budget",
    "serve": "aegis_graph.cli.serve:serve",
    "keys add": "aegis_graph.cli.keys:add",
    "keys list": "aegis_graph.cli.keys:show",
    "keys revoke": "aegis_graph.cli.keys:revoke",
    "init": "aegis_graph.cli.init:init",
    "doctor": "aegis_graph.cli.doctor:doctor",
    "completion": "aegis_graph.cli.completion:completion",
    "ledger migrate": "aegis_graph.cli.ledger:migrate",
    "ledger prune": "aegis_graph.cli.ledger:prune",
    "ledger verify": "aegis_graph.cli.ledger:verify",
    "ledger reconcile": "aegis_graph.cli.ledger:reconcile",
    "ledger export": "aegis_graph.cli.export:export",
}
"""The function of each command. Its module is imported when the command runs: what one command
needs, the others need not wait for."""


def _take_any_character() -> None:
    """Have a terminal or a file that knows few characters be written a mark for each other one.

    Else an answer that was paid for would be lost to its first dash.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def run(arguments: Sequence[str] | None, *, on_start: Callable[[], None] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: By default those of the process.
        on_start: Called when all is imported, before the command begins.
    """
    _take_any_character()
    parser = command_parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser.parse_args(with_command(given))
    except ConfigError as error:
        print(f"aegis: {error}", file=sys.stderr)
        return USAGE_ERROR
    if "command" not in options:
        # The one thing that a first look needs.
        parser.print_help()
        return OK
    if options.command == "ask" and bool(options.docs) == bool(options.index):
        other = f'aegis "{options.question}"'
        what = "name either --docs PATH or --index NAME" if options.docs else None
        what = what or f"name documents with --docs PATH or --index NAME, or try {other}"
        print(f"aegis: ask: {what}", file=sys.stderr)
        return USAGE_ERROR
    try:
        return _run(options, on_start)
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


def _run(options: argparse.Namespace, on_start: Callable[[], None] | None) -> int:
    module, _, name = COMMANDS[options.command].partition(":")
    command = getattr(import_module(module), name)
    if options.log_json:
        # Only now: the help needs no log.
        from aegis_graph.cli.json_log import start_json_log  # noqa: PLC0415

        start_json_log()
    if on_start is not None:
        on_start()
    return int(command(options))


_LIKENESS = 0.76
"""How alike a word and a command must be for the word to be taken for a misspelt one: more than
"what" and "chat" are."""


def with_command(arguments: list[str]) -> list[str]:
    """A command line with its command, which is ``prompt`` where only a prompt is given.

    Raises:
        ConfigError: The first word may be a misspelt command: an answer to it is not bought.

    Example:
        >>> with_command(["--json", "What is a hold?"])
        ['prompt', '--json', 'What is a hold?']
    """
    names = {name.split()[0] for name in COMMANDS}
    rest = list(arguments)
    shared = ("--json", "--log-json", "--config")
    while rest and (rest[0].startswith("--config=") or rest[0] in shared):
        rest = rest[2:] if rest[0] == "--config" else rest[1:]
    if not rest or rest[0] in {*names, "-h", "--help", "--version"}:
        return arguments
    word = rest[0]
    alike = get_close_matches(word, sorted(names), n=1, cutoff=_LIKENESS)
    alike += [name for name in sorted(names) if len(word) > 2 and name.startswith(word)]
    if alike:
        raise ConfigError(
            f"there is no command {word!r}; is it {alike[0]}? As a prompt: aegis prompt {word}"
        )
    return ["prompt", *arguments]


def exit_status(error: AegisError) -> int:
    """The exit status that an error means."""
    # First: a missing provider and an exhausted budget are routing errors as well.
    if isinstance(error, NoProviderError | LedgerError | StoreError):
        return NOT_ADMITTED
    return PROVIDERS_FAILED if isinstance(error, RoutingError) else USAGE_ERROR


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


def command_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; each command's own arguments come when it is used."""
    # Before the command or after it: only the parser above both has the defaults.
    shared = shared_options()
    parser = argparse.ArgumentParser(
        prog="aegis",
        usage='aegis [OPTIONS] "PROMPT" | COMMAND ...',
        description="Route LLM calls under hard budgets, and know what they cost.",
        parents=[shared_options(config=None, json=False, log_json=False)],
    )
    parser.add_argument("--version", action=_ShowVersion, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=LazyParser)

    def add(name: str, text: str, declare: Declare | None = None) -> None:
        command = commands.add_parser(name, parents=[shared], help=text)
        command.set_defaults(command=name)
        command.declare = declare

    add("prompt", 'send a prompt; `aegis "What is a hold?"` is short for it', add_prompt)
    add("chat", "talk to the router, answer by answer", add_chat)
    add("ask", "answer a question from documents", add_ask)
    add("index", "read documents into an index that stays", add_index)
    add("describe", "say what is in images, or transcribe them", add_describe)
    bulk = commands.add_parser("bulk", help="run a graph over many items, under one envelope")
    bulk.declare = lambda one: add_bulk(one, shared)
    add("explain", "say which provider a prompt would go to, and why; ask none", add_explain)
    add("costs", "show what calls cost", add_costs)
    add("budgets", "show the limits, and change them", add_budgets)
    add("serve", "answer over HTTP: an OpenAI-compatible endpoint, a dashboard, metrics", add_serve)
    keys = commands.add_parser("keys", help="say who may call the server")
    keys.declare = lambda one: add_keys(one, shared)
    add("init", "write a first aegis.toml, from three questions", add_init)
    add("doctor", "check the providers and the ledger")
    add("completion", "print a script that completes commands in a shell", add_completion)
    ledger = commands.add_parser("ledger", help="take care of the ledger")
    ledger.declare = lambda one: add_ledger(one, shared)
    return parser
