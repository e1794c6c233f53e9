"""``aegis chat``: a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.conversation import (
    NO_MODEL_HINT,
    Conversation,
    failure_json,
    lacks_a_model,
)
from aegis_graph.cli.interrupts import InterruptHandler
from aegis_graph.errors import AegisError, RoutingError

EXIT = "/exit"


def chat(options: argparse.Namespace) -> int:
    """Answer one line after the other, until ``/exit`` or the end of the input."""
    conversation = Conversation(options, load_config(options))
    handler = signal.getsignal(signal.SIGINT)
    interrupts = handler if isinstance(handler, InterruptHandler) else InterruptHandler()
    # Arrow keys and a history of lines, where the system has them.
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  what it does, it does by being imported
    if sys.stdin.isatty():
        print(f"{EXIT} or Ctrl-D ends it; Ctrl-C stops an answer", file=sys.stderr)
    # One event loop for all of it: connections stay open between the answers.
    with asyncio.Runner() as runner:
        while (line := _next_line()) is not None:
            if line.strip():
                _answer(conversation, line, runner, interrupts, options)
    return OK


def _next_line() -> str | None:
    """What is asked next; ``None`` at the end."""
    try:
        line = input("> " if sys.stdin.isatty() else "")
    except EOFError:
        if sys.stdin.isatty():
            print(file=sys.stderr)
        return None
    return None if line.strip() == EXIT else line


def _answer(
    conversation: Conversation,
    line: str,
    runner: asyncio.Runner,
    interrupts: InterruptHandler,
    options: argparse.Namespace,
) -> None:
    try:
        interrupts.run(runner, conversation.ask(line))
    except KeyboardInterrupt:
        print("aegis: the answer is cancelled; Ctrl-C again leaves", file=sys.stderr)
    except AegisError as error:
        # The conversation goes on: a budget may be raised, a server started.
        if options.json and isinstance(error, RoutingError):
            print(failure_json(error), flush=True)
            return
        print(f"aegis: {error}", file=sys.stderr)
        if isinstance(error, RoutingError) and lacks_a_model(error):
            print(NO_MODEL_HINT, file=sys.stderr)
