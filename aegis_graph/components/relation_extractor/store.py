"""Keeps answers that were paid for, so that the same question to the same models is bought once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from aegis_graph.components.private_store import PrivateStore, result_key
from aegis_graph.types import LOCAL_ONLY

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
    model's answer, which quotes the text, and whether it was cut. The prompt is not stored, and
    nothing of the private levels gets into a file. A new file can be read by its owner only.
    Several processes may share it.

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
        self._is_file = path is not None
        self._store = PrivateStore(None if path is None else Path(path), _TABLE)

    def find(self, key: str) -> StoredAnswer | None:
        """The answer that is kept under a key.

        Raises:
            StoreError: The file cannot be used.
        """
        rows = self._store.read("SELECT answer, cut FROM answers WHERE key = ?", key)
        return StoredAnswer(rows[0][0], bool(rows[0][1])) if rows else None

    def keep(self, key: str, kept: StoredAnswer, *, task: str, sensitivity: str) -> None:
        """Keep an answer; one that is there stays, and none of a private level gets into a file.

        Raises:
            StoreError: The file cannot be used.
        """
        if self._is_file and sensitivity in LOCAL_ONLY:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (key, task, sensitivity, now, kept.answer, kept.cut)
        self._store.write(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
        )


def answer_key(
    messages: Sequence[BaseMessage], chain: Sequence[str], options: Mapping[str, Any]
) -> str:
    """A hash of everything that an answer depends on."""
    asked = [[message.type, message.content] for message in messages]
    return result_key(asked, list(chain), options)
