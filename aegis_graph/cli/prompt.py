"""``aegis "a prompt"``: one answer, routed and streamed, and what it cost."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from aegis_graph.cli import OK
from aegis_graph.cli.commands import exit_status
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.conversation import (
    NO_MODEL_HINT,
    Conversation,
    failure_json,
    lacks_a_model,
)
from aegis_graph.cli.interrupts import run_async
from aegis_graph.errors import ConfigError, RoutingError

STDIN = "-"


def prompt(options: argparse.Namespace) -> int:
    """Send a prompt, with what a pipe brings behind it."""
    text = prompt_text(options.words)
    conversation = Conversation(options, load_config(options))
    try:
        run_async(conversation.ask(text), before_leaving=conversation.close)
    except RoutingError as error:
        if options.json:
            print(failure_json(error))
        else:
            print(f"aegis: {error}", file=sys.stderr)
            if lacks_a_model(error):
                print(NO_MODEL_HINT, file=sys.stderr)
        return exit_status(error)
    return OK


def prompt_text(words: list[str]) -> str:
    """The prompt of a command line, with what a pipe brings behind it.

    Raises:
        ConfigError: There is none.
    """
    parts = [" ".join(word for word in words if word != STDIN)]
    if STDIN in words or _is_piped():
        parts.append(_piped())
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise ConfigError('the prompt is empty: aegis "What is a hold?", or a pipe into `aegis -`')
    return text


def _is_piped() -> bool:
    """Whether standard input is a pipe or a file, and no terminal or nothing at all."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or replaced by what is no file
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _piped() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").strip("\n")
    except UnicodeDecodeError as error:
        raise ConfigError("standard input: not text in UTF-8") from error
