"""How much code runs, counted: a time would be the machine's as well."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class FunctionCount:
    """How many functions a thread called, Python's and C's; or those of Python's with a name."""

    def __init__(self, named: str | None = None) -> None:
        self.calls = 0
        self._named = named

    def add(self, frame: Any, event: str, argument: Any) -> None:
        if self._named is None:
            self.calls += event in ("call", "c_call")
        else:
            self.calls += event == "call" and frame.f_code.co_name == self._named


@contextmanager
def counted_functions(named: str | None = None) -> Iterator[FunctionCount]:
    """Count what this thread calls inside."""
    count, before, collects = FunctionCount(named), sys.getprofile(), gc.isenabled()
    # What others left behind is not counted, such as what weak references call.
    gc.collect()
    gc.disable()
    sys.setprofile(count.add)
    try:
        yield count
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()


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
