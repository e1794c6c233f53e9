"""Keeps what was found out about images, so that a second run buys nothing twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aegis_graph.clock import Clock, utc_now
from aegis_graph.components.private_store import PrivateStore, result_key
from aegis_graph.config.ledger_spec import data_folder
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.types import LOCAL_ONLY

DEGRADED_S = 3600.0
"""How long a result is good that a better provider might have improved, in seconds: long enough to
resume a run, short enough to ask again when the better one is back."""

FILE_NAME = "image_results.db"

_TABLE = """CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,
    kept_at TEXT NOT NULL,
    degraded INTEGER NOT NULL,
    result TEXT NOT NULL
)"""


class ImageStore:
    """Results by everything that decides them: the image, the prompt, the privacy and the chain.

    One SQLite file, readable by its owner only. Results about ``confidential``, ``pii`` and
    ``hipaa`` images are never written: they come from local providers, so nothing is bought twice,
    and they belong in no second place. Processes may share it.

    Args:
        path: The file; it and its folder are made when something is kept.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, path: Path, *, clock: Clock = utc_now) -> None:
        self.path = path
        self._clock = clock

    def key(
        self,
        *,
        sha256: str,
        prompt: str,
        sensitivity: str,
        max_output_tokens: int | None,
        chain: Sequence[str],
    ) -> str | None:
        """The name of a result; ``None`` where it must not be kept.

        Args:
            sha256: Of the image's bytes.
            prompt: What is asked.
            sensitivity: How private the request is.
            max_output_tokens: Cap of the answer.
            chain: The models that may be asked; see ``model_chain``.
        """
        # Without a name a result can be neither kept nor found.
        if sensitivity in LOCAL_ONLY:
            return None
        return result_key(sha256, prompt, sensitivity, max_output_tokens, list(chain))

    def get(self, key: str) -> dict[str, Any] | None:
        """The result that was kept, unless a better one may be had by now.

        Raises:
            StoreError: The file cannot be read.
        """
        # Looking something up makes no file.
        if not self.path.exists():
            return None
        with self._opened() as store:
            rows = store.read("SELECT kept_at, degraded, result FROM results WHERE key = ?", key)
        if not rows:
            return None
        kept_at, degraded, text = rows[0]
        age = self._clock() - datetime.fromisoformat(kept_at)
        if degraded and age >= timedelta(seconds=DEGRADED_S):
            return None
        result: dict[str, Any] = json.loads(text)
        return result

    def put(self, key: str, result: dict[str, Any], *, degraded: bool) -> None:
        """Keep a result; committed when this returns.

        Raises:
            StoreError: The file cannot be written.
        """
        text = json.dumps(result, ensure_ascii=False)
        row = (key, self._clock().isoformat(), int(degraded), text)
        with self._opened() as store:
            store.write("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", row)

    def _opened(self) -> closing[PrivateStore]:
        # For one operation each, so that a file that is deleted meanwhile is made anew.
        return closing(PrivateStore(self.path, _TABLE))


def create_image_store(config: RouterConfig, *, clock: Clock = utc_now) -> ImageStore:
    """The store beside the ledger.

    Args:
        config: Says where the ledger is.
        clock: Returns the present as an aware datetime in UTC.

    Example:
        >>> create_image_store(RouterConfig()).path.name
        'image_results.db'
    """
    url = config.ledger.url
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    folder = data_folder() if file is None else file.parent
    return ImageStore(folder / FILE_NAME, clock=clock)
