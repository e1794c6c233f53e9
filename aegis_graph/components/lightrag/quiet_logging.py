"""Keeps LightRAG off the application's console: where its log is shown is for the application.

LightRAG prints its log, and its vector store configures the log of the whole process. What matters
is in the reports and errors of this package; an application that configures ``logging`` still sees
the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aegis_graph.components.lightrag.run import RunEndedError

_LOG = logging.getLogger("lightrag")


@contextmanager
def quiet_import() -> Iterator[None]:
    """Around imports: leaves the process's log as it was, and LightRAG's without its printer."""
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        # Only its own: any other handler is the application's.
        printers = [one for one in _LOG.handlers if type(one).__module__ == "lightrag.utils"]
        for printer in printers:
            _LOG.removeHandler(printer)
        if printers:
            _LOG.addHandler(logging.NullHandler())
            # LightRAG switches it off, and an application's handlers would see nothing.
            _LOG.propagate = True
        for name in ("lightrag", "nano-vectordb"):
            logging.getLogger(name).setLevel(logging.WARNING)


def ignore_ended_runs() -> None:
    """Tell the running loop that tasks which LightRAG leaves behind may end unheard.

    Each ends in the error of a run that was stopped, which its caller has in the report.
    """
    asyncio.get_running_loop().set_exception_handler(_ignore_ended_run)


def _ignore_ended_run(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), RunEndedError):
        loop.default_exception_handler(context)
