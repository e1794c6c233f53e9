"""What a database must be able to do to hold a ledger; the SQL itself is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.queries import Query, Statement, advance

T = TypeVar("T")

LIST_LIMIT = 256
"""Values in one list; databases bound how many parameters a statement may have."""


def padded_count(count: int) -> int:
    """For how many parameters to write a list, so that few different statements are prepared.

    >>> [padded_count(count) for count in (1, 2, 9, 500)]
    [1, 4, 16, 1024]
    """
    size = 1
    while size < count:
        size *= 4
    return size


class Rows(Protocol):
    """The result of a statement."""

    def fetchone(self) -> Any:
        """The next row as a tuple, or ``None``."""

    def fetchall(self) -> list[Any]:
        """The rows that are left, as tuples."""

    def fetchmany(self, size: int) -> list[Any]:
        """At most ``size`` of them."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open database. Statements write their parameters as ``?``."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> object:
        """Run one statement for each row of parameters."""

    def close(self) -> None:
        """Let go of the database."""


class Store(Protocol):
    """A database of one kind at one place."""

    errors: tuple[type[Exception], ...]
    """What its driver raises, beside our own ``LedgerError``."""
    unused_ids: str
    """SQL that gives as many unused numbers of ``requests`` as its parameter says."""

    @property
    def key_file(self) -> Path | None:
        """Where the key of the hashes of prompts is kept; ``None`` for the ledger itself."""

    def exists(self) -> bool:
        """Whether a ledger was ever written there; asking must not create one."""

    def open(self) -> Connection:
        """Connect, creating or migrating the tables where needed."""

    def open_to_read(self) -> Connection:
        """Connect to a ledger that is there, for questions alone."""

    def open_to_write(self) -> Connection:
        """As ``open``, for a writer: all that it does is in transactions that ``begin`` began."""

    def open_empty(self) -> Connection:
        """A ledger without rows, for questions about one that does not exist."""

    async def ask(self, connect: Callable[[], Connection], query: Query[T]) -> T:
        """Ask a question from async code, on a connection that is closed then.

        Args:
            connect: Opens the connection; may take a while.
            query: The question.
        """

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that no other writer overlaps."""

    def lost(self, connection: Connection) -> bool:
        """Whether the database has ended the connection, so that only a new one helps."""

    def blocked(self, error: Exception) -> bool:
        """Whether another program is in the way, so that the next try waits as long."""

    def version(self, connection: Connection) -> int:
        """The version of the schema."""

    def damage(self) -> Query[LedgerError | None]:
        """Whether the database finds its own pages sound, where it can be asked."""

    def explain(self, error: Exception) -> LedgerError:
        """What one of its errors means and what to do about it, without secrets."""


def answered(
    connection: Connection, query: Query[T], *, given_up: Callable[[], bool] = lambda: False
) -> T:
    """The answer to a question, in the calling thread.

    Args:
        connection: Runs the statements.
        query: The question.
        given_up: Is asked after each statement whether the answer is still wanted.

    Raises:
        LedgerError: It is not.
    """
    try:
        step = advance(query, None)
        while isinstance(step, Statement):
            rows = connection.execute(step.sql, step.parameters).fetchall()
            if given_up():
                raise LedgerError("the question was given up")
            step = advance(query, rows)
    finally:
        # What it holds open, such as a file that it writes, ends here.
        query.close()
    answer: T = step.value
    return answer
