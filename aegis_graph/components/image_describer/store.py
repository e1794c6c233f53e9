"""Keeps what was found out about images, so that a second run buys nothing twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aegis_graph.clock import Clock, utc_now
from aegis_graph.components.private_store import make_private
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import LedgerError
from aegis_graph.types import LOCAL_ONLY

DEGRADED_S = 3600.0
"""How long a result is good that a better provider might have improved, in seconds: long enough to
resume a run, short enough to ask again when the better one is back."""

FILE_NAME = "image_results.db"
DEFAULT_FOLDER = Path("data")
"""Where the file is when the ledger is on a server."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,
    kept_at TEXT NOT NULL,
    degraded INTEGER NOT NULL,
    result TEXT NOT NULL
)"""


class ImageStore:
    """Results by everything that decides them: the image, the prompt, the privacy and the chain.

    One SQLite file, readable by its owner only. Results about ``confidential``, ``pii`` and
    ``hipaa`` images are never written: they come from local providers, so nothing is bought twice,
    and nobody wants them in a second place. Processes may share it.

    Args:
        path: The file; it and its folder are made when something is kept.
        chain: Identifies who may be asked; see ``chain_of``.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, path: Path, *, chain: str, clock: Clock = utc_now) -> None:
        self.path = path
        self._chain = chain
        self._clock = clock

    def key(
        self, *, sha256: str, prompt: str, sensitivity: str, max_output_tokens: int | None
    ) -> str | None:
        """The name of a result; ``None`` where it must not be kept."""
        if sensitivity in LOCAL_ONLY:
            return None
        parts = [sha256, prompt, sensitivity, max_output_tokens, self._chain]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The result that was kept, unless a better one may be had by now.

        Raises:
            LedgerError: The file cannot be read.
        """
        if not self.path.exists():
            return None
        with self._open() as connection:
            row = connection.execute(
                "SELECT kept_at, degraded, result FROM results WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        age = self._clock() - datetime.fromisoformat(row[0])
        if row[1] and age >= timedelta(seconds=DEGRADED_S):
            return None
        result: dict[str, Any] = json.loads(row[2])
        return result

    def put(self, key: str, result: dict[str, Any], *, degraded: bool) -> None:
        """Keep a result; committed when this returns.

        Raises:
            LedgerError: The file cannot be written.
        """
        text = json.dumps(result, ensure_ascii=False)
        with self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)",
                (key, self._clock().isoformat(), int(degraded), text),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            make_private(self.path)
            with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
                connection.execute(_SCHEMA)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"{self.path}: the results of images cannot be used ({error});"
                " delete the file, or name another"
            ) from error


def create_image_store(config: RouterConfig, *, clock: Clock = utc_now) -> ImageStore:
    """The store beside the ledger.

    Args:
        config: Says where the ledger is, and who may be asked.
        clock: Returns the present as an aware datetime in UTC.

    Example:
        >>> str(create_image_store(RouterConfig()).path)
        'data/image_results.db'
    """
    url = config.ledger.url
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    folder = DEFAULT_FOLDER if file is None else file.parent
    return ImageStore(folder / FILE_NAME, chain=chain_of(config), clock=clock)


def chain_of(config: RouterConfig) -> str:
    """Identifies everybody who may look at images, with all that changes what they answer."""
    rows = [_identity(row) for row in config.providers if row.enabled and row.images]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _identity(row: ProviderSpec) -> dict[str, Any]:
    fields = {"name", "kind", "model", "location", "base_url", "thinking", "temperature"}
    return row.model_dump(mode="json", include=fields | {"options", "tasks", "max_output_tokens"})
