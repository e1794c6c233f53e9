"""SQLite read from async code: each question has a connection of ``aiosqlite``, closed with it.

A connection belongs to no event loop beyond its question, so it outlives neither loop nor process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import aiosqlite

from aegis_graph.ledger.queries import Query, Statement, advance

T = TypeVar("T")


async def ask(connect: Callable[[], sqlite3.Connection], query: Query[T]) -> T:
    """Ask a question. When the waiting task is cancelled, the statement that runs is interrupted.

    Args:
        connect: Opens the database, for use by one thread after another; called in a thread.
        query: The question. What it does between its statements, such as writing an export, is
            done in a thread as well.
    """
    opened = await _opened(connect)
    try:
        async with _connection(opened) as connection:
            try:
                return await _answer(connection, query)
            except asyncio.CancelledError:
                # It would go on, and closing would wait for it.
                await connection.interrupt()
                raise
    finally:
        # Closed already, unless it was given up before aiosqlite had it.
        opened.close()


async def _answer(connection: aiosqlite.Connection, query: Query[T]) -> T:
    step = await asyncio.to_thread(advance, query, None)
    while isinstance(step, Statement):
        rows = list(await connection.execute_fetchall(step.sql, step.parameters))
        step = await asyncio.to_thread(advance, query, rows)
    answer: T = step.value
    return answer


async def _opened(connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    # Not by aiosqlite, whose thread outlives a connection that fails or is given up.
    opening = asyncio.get_running_loop().run_in_executor(None, connect)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(Exception):  # no caller waits for it any more
            (await opening).close()
        raise


def _connection(opened: sqlite3.Connection) -> aiosqlite.Connection:
    connection = aiosqlite.Connection(lambda: opened, iter_chunk_size=1)  # No rows are iterated.
    # A daemon, or a loop that is left in the middle of a question would keep the interpreter from
    # its exit. There is no public switch; before version 0.22 the connection is the thread.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return connection
