"""Which check the answers to a task must pass, as the configuration names it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aegis_graph.types import TASK_PATTERN

ANY_TASK = "*"
"""Stands for every task that has no check of its own."""

_NAME = re.compile(r"json|citations|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""A check of this package, or a function and the module that has it."""


def check_accept(accept: object) -> None:
    """Make sure that each check is for a task, and that what names one can be a name.

    Raises:
        ValueError: One line that names the task.
    """
    if not isinstance(accept, Mapping):
        raise ValueError(f"accept: must name tasks and their checks, not {type(accept).__name__}")
    for task, check in accept.items():
        where = f"accept.{task}"
        if not isinstance(task, str) or (task != ANY_TASK and not re.search(TASK_PATTERN, task)):
            raise ValueError(f"{where}: is no task; name one, or {ANY_TASK!r} for all")
        if isinstance(check, str) and not _NAME.fullmatch(check):
            raise ValueError(
                f"{where}: no check is named so; use 'json', 'citations' or 'module:function'"
            )
