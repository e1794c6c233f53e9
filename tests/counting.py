"""How much code runs, counted: a time would be the machine's as well."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class FunctionCount:
    """How many functions a thread called, Python's and C's."""

    def __init__(self) -> None:
        self.calls = 0

    def add(self, frame: Any, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


@contextmanager
def counted_functions() -> Iterator[FunctionCount]:
    """Count what this thread calls inside."""
    count, before = FunctionCount(), sys.getprofile()
    sys.setprofile(count.add)
    try:
        yield count
    finally:
        sys.setprofile(before)


@contextmanager
def counted_in_threads(loop: asyncio.AbstractEventLoop) -> Iterator[FunctionCount]:
    """Count what this thread calls inside, and the threads to which its loop gives work."""
    with (
        counted_functions() as count,
        ThreadPoolExecutor(initializer=sys.setprofile, initargs=(count.add,)) as threads,
    ):
        loop.set_default_executor(threads)
        yield count
        loop.set_default_executor(ThreadPoolExecutor())
