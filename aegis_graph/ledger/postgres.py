"""PostgreSQL: the store for many processes on many hosts. The tables are in a schema of their own.

Writers take turns by an advisory lock, as SQLite's writers do by the file's: every transaction sees
all that were committed before it, so the same statements are right in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

try:
    import psycopg
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "a PostgreSQL ledger needs: pip install 'aegis-graph[postgres]'", name=missing.name
    ) from missing

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.dialects import POSTGRES
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.schema import SCHEMA_VERSION, statements
from aegis_graph.ledger.store import Connection, answered

T = TypeVar("T")

SCHEMA = "aegis_graph"

WRITER_LOCK = 0x41454749
"""Key of the advisory lock that a writing transaction holds."""


class PostgresStore:
    """A ledger's schema in a PostgreSQL database.

    Args:
        url: The address, in libpq's form.
        shown: The same without a password, for messages.
        busy_timeout_s: How long to wait for a connection, a lock or a statement, in seconds.
    """

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    key_file: Path | None = None  # Its hosts have no other place that all of them see.
    unused_ids = "SELECT nextval('requests_id_seq') FROM generate_series(1, ?)"

    def __init__(self, url: str, *, shown: str, busy_timeout_s: float) -> None:
        self._url = url
        self._shown = shown
        self._timeout_s = busy_timeout_s

    def exists(self) -> bool:
        """See ``Store.exists``; a database that is named is meant to be used."""
        return True

    def open(self) -> Connection:
        """See ``Store.open``."""
        milliseconds = round(self._timeout_s * 1000)
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            # libpq advises against less than 2 seconds.
            connect_timeout=max(2, round(self._timeout_s)),
            # Everything is bounded: a lock, a statement, and a network that swallows packets. The
            # statement's bound is above the lock's, or it would always be the one that is reported.
            options=f"-c search_path={SCHEMA} -c lock_timeout={milliseconds}"
            f" -c statement_timeout={2 * milliseconds} -c synchronous_commit=on",
            tcp_user_timeout=milliseconds,
            keepalives_idle=max(1, round(self._timeout_s)),
        )
        opened = _PipelinedConnection(connection)
        try:
            self._migrate(opened)
        except BaseException:
            connection.close()
            raise
        return opened

    def open_to_read(self) -> Connection:
        """See ``Store.open_to_read``."""
        return self.open()

    def open_to_write(self) -> Connection:
        """See ``Store.open_to_write``."""
        return self.open()

    def open_empty(self) -> Connection:
        """See ``Store.open_empty``."""
        return self.open()

    async def ask(self, connect: Callable[[], Connection], query: Query[T]) -> T:
        """See ``Store.ask``: in a thread, which ends with its statement once it is given up."""
        given_up = Event()

        def work() -> T:
            with closing(connect()) as connection:
                return answered(connection, query, given_up=given_up.is_set)

        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def begin(self, connection: Connection) -> None:
        """See ``Store.begin``."""
        # One message to the server for both, because it has no parameters.
        connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    def lost(self, connection: Connection) -> bool:
        """See ``Store.lost``."""
        return isinstance(connection, _PipelinedConnection) and connection.closed

    def blocked(self, error: Exception) -> bool:
        """See ``Store.blocked``."""
        # lock_not_available, and query_canceled by the statement's timeout
        return getattr(error, "sqlstate", None) in {"55P03", "57014"}

    def version(self, connection: Connection) -> int:
        """See ``Store.version``."""
        # A scan, because name look-ups may answer from before the lock was granted.
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'facts'", (SCHEMA,)
        ).fetchone()
        if found[0] == 0:
            return 0
        row = connection.execute("SELECT value FROM facts WHERE name = 'schema'").fetchone()
        return int(row[0]) if row else 0

    def damage(self) -> Query[LedgerError | None]:
        """See ``Store.damage``; a server checks each page that it reads."""
        yield from ()
        return None

    def explain(self, error: Exception) -> LedgerError:
        """See ``Store.explain``; by SQLSTATE, because messages are in the server's language."""
        state = getattr(error, "sqlstate", None) or ""
        meaning = next(
            (text for start, text in _MEANING.items() if state.startswith(start)),
            f"cannot be used (SQLSTATE {state})" if state else _UNREACHABLE,
        )
        # The driver knows no SQLSTATE of a connection that was refused: the server's own words.
        _, refused, words = str(error).rpartition("FATAL:")
        if refused and not state:
            meaning = f"cannot be used; the server says: {words.strip().splitlines()[0]}"
        explained = LedgerError(f"the ledger {self._shown} {meaning}")
        explained.__cause__ = error
        return explained

    def _migrate(self, connection: Connection) -> None:
        done = self.version(connection)
        if done == SCHEMA_VERSION:
            return
        self.begin(connection)
        try:
            # Another process may have done it while this one waited for the lock.
            done = self.version(connection)
            if done > SCHEMA_VERSION:
                raise LedgerError(
                    f"the ledger {self._shown} has schema version {done}, this program knows"
                    f" {SCHEMA_VERSION}: upgrade aegis-graph here, or use another ledger.url"
                )
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            for statement in statements(POSTGRES, done=done):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO facts (name, value) VALUES ('schema', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(SCHEMA_VERSION),),
            )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


_UNREACHABLE = "cannot be reached; check that the server runs and that the address is right"

_MEANING = {
    "08": _UNREACHABLE,
    "28": "refuses the user or password of ledger.url",
    "3D": "does not exist on this server; create the database",
    "3F": "has no such schema, and this user may not create it",
    "42501": "refuses this user; let it create and use the schema aegis_graph",
    "53100": "cannot grow: the disk is full; free some space",
    "53300": "has no connection free; raise max_connections, or run fewer processes",
    "55P03": "is locked by another program; end it, or raise ledger.busy_timeout_s",
    "57014": "answers too slowly; end what blocks it, or raise ledger.busy_timeout_s",
    "57P": _UNREACHABLE,
}
"""Source: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


def _for_driver(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


class _PipelinedConnection:
    """A connection that takes ``?`` for a parameter; our statements have it nowhere else.

    A transaction is a pipeline: only reading a statement's rows waits for the server. What
    went wrong with another is raised by the next that waits, at the latest by the commit.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pipeline = ExitStack()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """See ``Connection.execute``."""
        if parameters:
            return self._connection.execute(_for_driver(sql), parameters)
        if sql == "ROLLBACK":
            with suppress(psycopg.Error):  # the fault that is undone; its caller has it
                self._pipeline.close()
        rows = self._connection.execute(sql.encode())
        if sql == "COMMIT":
            self._pipeline.close()
        elif sql.startswith("BEGIN"):
            self._pipeline.enter_context(self._connection.pipeline())
        return rows

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See ``Connection.executemany``."""
        self._connection.cursor().executemany(_for_driver(sql), rows)

    @property
    def closed(self) -> bool:
        """Whether one of the two sides has ended it."""
        return self._connection.closed

    def close(self) -> None:
        """See ``Connection.close``."""
        with suppress(psycopg.Error):  # an unfinished transaction is undone by the server
            self._pipeline.close()
        self._connection.close()
