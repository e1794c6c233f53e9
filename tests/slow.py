"""Which tests are slow: those whose code, or whose fixtures' code, starts a server or a process.

No marker has to be remembered. The names in a test's code are followed through the helpers of the
tests to what they stand for; ``refuse_to_start`` catches what they do not lead to.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from types import CodeType, FunctionType
from typing import Any

import pytest
import uvicorn

from aegis_graph.testing import LoopbackServer
from tests import programs
from tests.raw_server import raw_server

STARTERS = (subprocess, multiprocessing, programs, raw_server, uvicorn, LoopbackServer)
OURS = ("tests.", "aegis_graph.testing.")
"""Modules whose code is followed."""
STARTED = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "socket.bind"}
"""What Python reports before it starts a process, or before a server has an address."""


def is_slow(item: pytest.Item) -> bool:
    """Whether a test starts a server or a process, as far as its code says."""
    assert isinstance(item, pytest.Function)
    if {"postgres_url", "store"} & set(item.fixturenames):
        return True
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(one.func for many in fixtures for one in many)]
    passed: set[int] = set()
    return any(_starts(function, passed) for function in functions)


def refuse_to_start() -> None:
    """From now on, what starts a server or a process in this one fails."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTED:
            raise RuntimeError(f"{event}: a test that starts something says so in its code")

    sys.addaudithook(refuse)


def _starts(value: Any, passed: set[int]) -> bool:
    if any(value is one for one in STARTERS) or isinstance(value, BaseContext):
        return True
    if id(value) in passed:
        return False
    passed.add(id(value))
    if not str(getattr(value, "__module__", "")).startswith(OURS):
        return False
    if isinstance(value, type):
        members = (getattr(one, "__func__", one) for one in vars(value).values())
        return any(_starts(one, passed) for one in members if isinstance(one, FunctionType))
    if isinstance(value, FunctionType):
        named = (value.__globals__.get(name) for name in _names(value.__code__))
        return any(_starts(one, passed) for one in named)
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
