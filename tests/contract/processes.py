"""What the tests with several processes share: how to start one, hear from it, and see it end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

WAIT_S = 60.0
"""Generous: how long a test waits for something that has to happen."""

# One process imports everything once; those of the tests are forked from it within milliseconds.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["tests.contract.ledger_store", "tests.flow.support", "langchain_openai", "httpx_aiohttp"]
)


def start(body: Callable[..., None], *arguments: Any) -> tuple[ForkServerProcess, Connection]:
    """Run a function in a process of its own; its last argument is the pipe to the test."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=body, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def heard(pipe: Connection) -> Any:
    """The next thing that a process says."""
    assert pipe.poll(WAIT_S), "the process says nothing"
    return pipe.recv()


def ended(process: ForkServerProcess) -> int | None:
    """How a process ended: 0, or minus the signal."""
    process.join(WAIT_S)
    return process.exitcode
