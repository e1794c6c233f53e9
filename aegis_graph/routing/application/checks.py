"""The checks that answers must pass, by task: those of the configuration and of the application."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from aegis_graph.config.accept import ANY_TASK, check_accept
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.request.request import Request
from aegis_graph.request.structured import PARSED
from aegis_graph.routing.application.gates import NamedCheck
from aegis_graph.routing.application.hooks import Check, Rejection
from aegis_graph.text.foreign import clean_text
from aegis_graph.text.json_text import leading_json
from aegis_graph.text.passages import parse_passages
from aegis_graph.text.reasoning import spoken_part
from aegis_graph.types import Task

_NUMBERED_LINE = re.compile(r"^\[(\d{1,3})\]", re.MULTILINE)
"""How a passage begins in a prompt that has none of this package's blocks of them."""


@dataclass(frozen=True, slots=True)
class AcceptChecks:
    """What an answer must pass, by task."""

    by_task: Mapping[Task, NamedCheck]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.by_task)

    def of(self, task: Task) -> NamedCheck | None:
        """The check of a task: its own, or the one for all tasks."""
        return self.by_task.get(task) or self.by_task.get(ANY_TASK)


NO_CHECKS = AcceptChecks({})
"""Every answer is good enough."""


def accept_checks(
    config: RouterConfig, given: Mapping[Task, Check | str] | None = None
) -> AcceptChecks:
    """Find the checks of a router.

    Args:
        config: Names some of them.
        given: The application's own; of a task, this one counts.

    Raises:
        ConfigError: One line that says which cannot be had, and why.
    """
    folder = Path(config.source).absolute().parent if config.is_from_file else None
    named = {
        task: _named(check, f"{config.source}: accept.{task}", folder)
        for task, check in config.accept.items()
    }
    try:
        check_accept({} if given is None else given)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    own = {task: _named(check, f"accept.{task}", folder) for task, check in (given or {}).items()}
    return AcceptChecks({**named, **own})


def is_json(request: Request, answer: AIMessage) -> Rejection | None:
    """Whether an answer is one JSON value; for a request with a schema, the attempt has seen to it.

    An answer that calls a tool is none yet, and passes.
    """
    if PARSED in answer.additional_kwargs or answer.tool_calls:
        return None
    text = answer.text.strip()
    try:
        _, end = leading_json(text)
    except ValueError:
        end = -1
    if end == len(text):
        return None
    return Rejection("the answer is not one JSON value and nothing else", tell_model=True)


def has_citations(request: Request, answer: AIMessage) -> Rejection | None:
    """Whether each citation of an answer is of a passage of the prompt, and there is at least one.

    Where the prompt has no passages, there is nothing to cite. An answer that calls a tool passes.
    """
    if answer.tool_calls:
        return None
    # Imported here: it compiles patterns that only this check needs.
    from aegis_graph.text.citation_marks import find_citations  # noqa: PLC0415

    known = _passage_numbers(request)
    marks = find_citations(spoken_part(answer.text), count=max(known, default=None))
    cited = {number for mark in marks for number in mark.numbers}
    unknown = sorted(cited - known)
    if unknown:
        listed = ", ".join(f"[{number}]" for number in unknown[:5])
        return Rejection(f"the answer cites {listed}, which is no passage", tell_model=True)
    if known and not cited:
        return Rejection("the answer cites no passage", tell_model=True)
    return None


BUILT_IN: Mapping[str, Check] = {"json": is_json, "citations": has_citations}
"""The checks that have a name of one word."""


def _passage_numbers(request: Request) -> set[int]:
    texts = [one.text for one in request.messages if isinstance(one, HumanMessage)]
    blocks = [block for text in texts if (block := parse_passages(text)) is not None]
    if blocks:
        return {passage.n for block in blocks for passage in block}
    every = (one.text for one in request.messages if not isinstance(one, AIMessage))
    return {int(digits) for text in every for digits in _NUMBERED_LINE.findall(text)}


def _named(check: Check | str, where: str, folder: Path | None) -> NamedCheck:
    if not isinstance(check, str):
        if not callable(check):
            raise ConfigError(f"{where}: must be a function, not {type(check).__name__}")
        return NamedCheck(getattr(check, "__qualname__", type(check).__name__), check)
    if check in BUILT_IN:
        return NamedCheck(check, BUILT_IN[check], is_own=True)
    return NamedCheck(check, _imported(check, where, folder))


def _imported(name: str, where: str, folder: Path | None) -> Any:
    module, _, path = name.partition(":")
    try:
        with _importable(folder):
            found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        # A module may raise anything while it is imported.
        what = clean_text(f"{type(error).__name__}: {error}")
        raise ConfigError(f"{where}: cannot import {name!r}: {what}") from error
    if not callable(found):
        raise ConfigError(f"{where}: {name!r} is no function, but {type(found).__name__}")
    return found


@contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """Find the modules beside the configuration's file too, behind all installed ones."""
    if folder is None:
        yield
        return
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
