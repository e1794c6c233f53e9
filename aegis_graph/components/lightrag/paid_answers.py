"""Every answer that LightRAG was given and paid for, kept so that none is bought twice."""

from __future__ import annotations

import array
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aegis_graph.components.private_store import PrivateStore
from aegis_graph.errors import ConfigError, StoreError
from aegis_graph.types import SENSITIVITIES, Sensitivity

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, operation TEXT NOT NULL, text TEXT NOT NULL, truncated INTEGER NOT NULL,
    output_tokens INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS synced (name TEXT PRIMARY KEY, folder TEXT NOT NULL) WITHOUT ROWID;
"""


_SYNCED = "SELECT name FROM synced WHERE folder = ?"


class PaidAnswer(NamedTuple):
    """An answer as it was given."""

    text: str
    truncated: bool = False
    """Whether the provider cut it at the output cap."""
    output_tokens: int | None = None
    """What the provider counted, where it did."""


class PaidAnswers:
    """A file beside LightRAG's own. It holds what these hold: pieces of the documents.

    A new file can be read by its owner only.

    An answer is on disk before the ledger has its cost and before LightRAG sees it, so a killed
    process has either the answer or a call without one. Use it from one thread.

    It is locked while it is open: of two writers of LightRAG's files, the last one wins.

    Args:
        path: The database's file.

    Raises:
        ConfigError: It is open already, here or in another process.
        StoreError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._store = PrivateStore(path, _TABLES, exclusive=True)
        try:
            self._store.open()
        except StoreError as error:
            if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise ConfigError(
                    f"{path.parent}: the workspace is open already; close it there first"
                ) from error
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def answer(self, key: str) -> PaidAnswer | None:
        """The answer to a request, where it was bought before."""
        found = self._one("SELECT text, truncated, output_tokens FROM answers WHERE key = ?", key)
        return None if found is None else PaidAnswer(found[0], bool(found[1]), found[2])

    def keep_answer(self, key: str, operation: str, answer: PaidAnswer) -> None:
        """Write an answer down; it is on disk when this returns."""
        row = (key, operation, answer.text, int(answer.truncated), answer.output_tokens)
        self._store.write("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def vectors(self, keys: Sequence[str]) -> dict[str, list[float]]:
        """Those of the vectors that were bought before."""
        found = ((key, self._one("SELECT vector FROM vectors WHERE key = ?", key)) for key in keys)
        return {key: array.array("f", row[0]).tolist() for key, row in found if row is not None}

    def keep_vectors(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Write vectors down, as 32-bit numbers like the stores do."""
        rows = [(key, array.array("f", vector).tobytes()) for key, vector in vectors.items()]
        self._store.write("INSERT OR REPLACE INTO vectors VALUES (?, ?)", *rows)

    def mean_output_tokens(self, operation: str) -> float | None:
        """How long the answers to an operation were on average; ``None`` without any."""
        found = self._one("SELECT avg(output_tokens) FROM answers WHERE operation = ?", operation)
        return None if found is None or found[0] is None else float(found[0])

    @property
    def sensitivity(self) -> Sensitivity:
        """The highest level of anything in the workspace."""
        found = self._one("SELECT value FROM facts WHERE name = ?", "sensitivity")
        levels = [level for level in SENSITIVITIES if found is not None and level == found[0]]
        return levels[0] if levels else SENSITIVITIES[0]

    def raise_sensitivity(self, level: Sensitivity) -> None:
        """Remember that something of this level is in the workspace. It is never lowered."""
        if SENSITIVITIES.index(level) > SENSITIVITIES.index(self.sensitivity):
            self._store.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", ("sensitivity", level))

    def synced(self, folder: str) -> list[str]:
        """The documents that come from a folder."""
        return [row[0] for row in self._store.read(_SYNCED, folder)]

    def keep_synced(self, folder: str, names: Sequence[str]) -> None:
        """Remember that documents come from a folder."""
        rows = [(name, folder) for name in names]
        self._store.write("INSERT OR REPLACE INTO synced VALUES (?, ?)", *rows)

    def forget_synced(self, name: str) -> None:
        """Forget where a document came from: it is not there any more."""
        self._store.write("DELETE FROM synced WHERE name = ?", (name,))

    def _one(self, query: str, value: str) -> tuple[Any, ...] | None:
        rows = self._store.read(query, value)
        return rows[0] if rows else None
