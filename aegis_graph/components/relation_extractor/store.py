"""Keeps answers that were paid for, so that the same question to the same models is bought once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage
from langgraph.graph.state import CompiledStateGraph

from aegis_graph.components.private_store import make_private
from aegis_graph.components.router_node import RouterGraph
from aegis_graph.errors import ConfigError
from aegis_graph.routing.attempt import Attempt
from aegis_graph.routing.handle import RouterHandle

BUSY_TIMEOUT_S = 30.0
"""How long to wait for another process that writes: it holds the lock for one insert."""

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, sensitivity TEXT NOT NULL,
    stored_at TEXT NOT NULL, answer TEXT NOT NULL, cut INTEGER NOT NULL
) WITHOUT ROWID
"""


class StoredAnswer(NamedTuple):
    """An answer as it was bought."""

    answer: str
    cut: bool = False
    """Whether it ended at its cap of output tokens."""


class AnswerStore:
    """Answers by what was asked, in one SQLite file or in memory.

    A row is a hash of everything that the answer depends on (prompt with text, schema and earlier
    answers, task, sensitivity, models, output cap), the task, the sensitivity, the time, the
    model's answer, which quotes the text, and whether it was cut. The prompt is not stored. A new
    file can be read by its owner only. Several processes may share it.

    Args:
        path: The file; in memory, as long as this object lives, when absent. It is created by the
            first answer.

    Example:
        >>> store = AnswerStore()
        >>> store.keep("k", StoredAnswer("{}"), task="extract", sensitivity="internal")
        >>> store.find("k"), store.find("another")
        (StoredAnswer(answer='{}', cut=False), None)
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def find(self, key: str) -> StoredAnswer | None:
        """The answer that is kept under a key.

        Raises:
            ConfigError: The file cannot be used.
        """
        rows = self._run("SELECT answer, cut FROM answers WHERE key = ?", key)
        return StoredAnswer(rows[0][0], bool(rows[0][1])) if rows else None

    def keep(self, key: str, kept: StoredAnswer, *, task: str, sensitivity: str) -> None:
        """Keep an answer; one that is there stays.

        Raises:
            ConfigError: The file cannot be used.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (key, task, sensitivity, now, kept.answer, kept.cut)
        self._run("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", *row)

    def _run(self, sql: str, *values: str | bool) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._open().execute(sql, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"{self._path}: cannot be used as a store of answers ({error}); name another file"
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
            weakref.finalize(self, self._connection.close)
        return self._connection


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        make_private(path)
    connection = sqlite3.connect(
        path or ":memory:",
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def answer_key(
    messages: Sequence[BaseMessage], chain: Sequence[str], choices: Mapping[str, Any]
) -> str:
    """A hash of everything that an answer depends on."""
    said = [[message.type, message.content] for message in messages]
    text = json.dumps([said, list(chain), choices], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


_NO_MATTER = {
    *("name", "api_key_env", "price", "timeout_s", "max_retries", "retry_wait_s"),
    *("tasks", "images", "enabled", "tools"),
}
"""Of a provider: what does not change its answers."""


def model_chain(router: RouterGraph) -> list[str]:
    """What a router asks now, in order: each provider's kind, model, address and manner.

    A handle that watches its file reads it, which blocks. Empty for a graph that only looks like
    a router.
    """
    compiled = router.refresh() if isinstance(router, RouterHandle) else router
    if not isinstance(compiled, CompiledStateGraph):
        return []
    bodies = [getattr(node.runnable, "body", None) for node in compiled.builder.nodes.values()]
    owners = [getattr(body, "__self__", None) for body in bodies]
    specs = [owner.provider.spec for owner in owners if isinstance(owner, Attempt)]
    return [spec.model_dump_json(exclude=_NO_MATTER) for spec in specs]
