"""What a transaction of the ledger takes: measured, for the simulation of many workers."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import linear_regression, quantiles
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support import calendar_of, pair, pairs

from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.ledger.factory import create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Budget

CALLERS = (1, 8, 32, 96)
"""At once, in one process: each number makes batches of another size."""
DELAY_S = 0.02
"""By how much an answer is late where round trips are counted: well above the clock's steps."""


@dataclass(frozen=True, slots=True)
class TransactionTimes:
    """Seconds that a transaction takes: for itself, and for each operation in it."""

    locked_s: float
    locked_each_s: float
    """While no other worker can write."""
    between_s: float
    between_each_s: float
    """Before it asks for the lock, in its own process."""
    round_trips: float = 0.0
    """How often the one that holds the lock waits for the server."""

    def locked(self, operations: int, round_trip_s: float = 0.0) -> float:
        """How long the lock is held, where the server is so far away."""
        network = self.round_trips * round_trip_s
        return self.locked_s + network + operations * self.locked_each_s

    def between(self, operations: int) -> float:
        """How long the worker needs before it asks for the lock."""
        return self.between_s + operations * self.between_each_s


class TimedStore:
    """A store that notes when its writer got the lock and when it let go of it.

    Args:
        store: The store that does it all.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.locked: list[float] = []
        self.between: list[float] = []
        self._granted = self._released = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def open_to_write(self) -> Any:
        """See ``Store.open_to_write``."""
        return _TimedConnection(self._store.open_to_write(), self)

    def begin(self, connection: Any) -> None:
        """See ``Store.begin``."""
        self.between.append(time.perf_counter() - self._released)
        self._store.begin(connection.inner)
        self._granted = time.perf_counter()

    def lost(self, connection: Any) -> bool:
        """See ``Store.lost``."""
        return bool(self._store.lost(connection.inner))

    def release(self) -> None:
        """The transaction is committed."""
        self._released = time.perf_counter()
        self.locked.append(self._released - self._granted)

    def forget(self) -> None:
        """Begin again."""
        self.locked, self.between = [], []


class _TimedConnection:
    def __init__(self, inner: Any, store: TimedStore) -> None:
        self.inner, self._store = inner, store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        rows = self.inner.execute(sql, parameters)
        if sql == "COMMIT":
            self._store.release()
        return rows


def measure(url: str, each: int) -> TransactionTimes:
    """Reserve and settle with more and more callers, and see what a transaction takes.

    Args:
        url: The ledger's address.
        each: Pairs of each caller.
    """
    sizes, locked, between = [], [], []
    for callers in CALLERS:
        store = _load(url, callers, each)
        sizes.append(2 * callers * each / len(store.locked))
        locked.append(_undisturbed(store.locked))
        between.append(_undisturbed(store.between))
    held, gap = linear_regression(sizes, locked), linear_regression(sizes, between)
    return TransactionTimes(
        locked_s=max(0.0, held.intercept),
        locked_each_s=held.slope,
        between_s=max(0.0, gap.intercept),
        between_each_s=max(0.0, gap.slope),
    )


def count_round_trips(url: str, each: int) -> float:
    """How often a transaction waits for PostgreSQL, from how late it is when each answer is late.

    Args:
        url: The ledger's address, that of a server with a socket in the file system.
        each: Pairs that one caller makes.
    """
    near = _undisturbed(_load(url, 1, each).locked)
    with late_answers(url, DELAY_S) as far_away:
        far = _undisturbed(_load(far_away, 1, each).locked)
    return (far - near) / DELAY_S


def _undisturbed(seconds: list[float]) -> float:
    """The lower quartile: in the others, this machine had other work as well."""
    return quantiles(seconds, n=4)[0]


def _load(url: str, callers: int, each: int) -> TimedStore:
    spec = LedgerSpec(url=url, busy_timeout_s=60)
    store = TimedStore(create_store(spec))
    ledger = SqlLedger(
        store, limits=[Budget("total", "month", 10**15)], calendar=calendar_of(spec), clock=utc_now
    )

    async def work() -> None:
        await pair(ledger)
        store.forget()
        await pairs(ledger, callers=callers, each=each)

    asyncio.run(work())
    ledger.close()
    return store


@contextmanager
def late_answers(url: str, delay_s: float) -> Iterator[str]:
    """The address of a server whose answers all come so much later."""
    socket = f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        place = Path(folder) / ".s.PGSQL.5432"
        opening = asyncio.start_unix_server(partial(_forward, socket, delay_s), place)
        server = asyncio.run_coroutine_threadsafe(opening, loop).result()
        try:
            yield f"postgresql://postgres:@/postgres?host={folder}"
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


async def _forward(
    socket: str, delay_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    answers, server = await asyncio.open_unix_connection(socket)
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        while data := await reader.read(65536):
            server.write(data)
        server.close()

    asking = asyncio.create_task(ask())
    while data := await answers.read(65536):
        loop.call_later(delay_s, writer.write, data)
    await asking
    writer.close()
