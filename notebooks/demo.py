"""The stage of the notebooks: a server that plays the providers, and a folder for ledgers."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aegis_graph import RouterConfig
from aegis_graph.testing import LoopbackServer

_PLAYED: Mapping[str, Mapping[str, Any]] = {
    "ollama": {"model": "llama3.2:3b", "location": "local", "price": "free"},
    "dashscope": {"model": "qwen-plus", "location": "cloud", "api_key_env": "DEMO_KEY"},
    "openai": {
        "model": "gpt-4o",
        "location": "cloud",
        "api_key_env": "DEMO_KEY",
        "price": {"input_usd_per_mtok": "2.50", "output_usd_per_mtok": "10"},
    },
    "extractive": {"model": "best-sentences", "location": "local", "tasks": ["answer"]},
}


class Demo:
    """Plays Ollama, DashScope and OpenAI on this machine, and keeps the ledgers of a notebook."""

    keys: Mapping[str, str] = MappingProxyType({"DEMO_KEY": "not-a-real-key"})
    """The environment of the routers: no key of this machine can reach a notebook."""

    def __init__(self) -> None:
        self.server = LoopbackServer().start()
        self._home = Path.cwd()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)

    def provider(self, kind: str, **changes: Any) -> dict[str, Any]:
        """A row of the configuration for a provider that the server plays, tried once.

        Args:
            kind: ``ollama``, ``dashscope``, ``openai``, or the embedded ``extractive``.
            changes: Keys of the row that differ from the demonstration's, such as ``tasks``.
        """
        row = {"name": kind, "kind": kind, "max_retries": 0, **_PLAYED[kind]}
        if kind != "extractive":
            row["base_url"] = getattr(self.server, f"{kind}_url")
        return {**row, **changes}

    def priced(self, kind: str, *, output_usd_per_mtok: str) -> dict[str, Any]:
        """A provider whose answers of at most 1,000 tokens have this price, and its input none."""
        price = {"input_usd_per_mtok": "0", "output_usd_per_mtok": output_usd_per_mtok}
        return self.provider(kind, max_output_tokens=1000, price=price)

    def vectors(self, *, dimensions: int) -> dict[str, Any]:
        """A row of the configuration for free embeddings on this machine."""
        row = {"name": "vectors", "kind": "ollama", "model": "bge-m3", "dimensions": dimensions}
        local = {"base_url": self.server.ollama_url, "location": "local", "price": "free"}
        return {**row, **local}

    def config(
        self,
        *providers: Mapping[str, Any],
        budgets: Sequence[tuple[str, str, str]] = (),
        database: str = "costs.db",
        **sections: Any,
    ) -> RouterConfig:
        """A configuration of these providers, in this order.

        Args:
            providers: Rows from ``provider``.
            budgets: Scopes, windows and limits in USD.
            database: The ledger's file in the notebook's folder.
            sections: Further sections, such as ``embeddings``.
        """
        limits = [
            {"scope": scope, "window": window, "limit_usd": limit}
            for scope, window, limit in budgets
        ]
        ledger = {"url": f"sqlite:///{self.folder / database}"}
        return RouterConfig.model_validate(
            {"ledger": ledger, "providers": providers, "budgets": limits, **sections}
        )

    def write(self, texts: Mapping[str, str]) -> list[Path]:
        """Write documents, and go where they are: citations name files as they were found."""
        os.chdir(self.folder)
        for name, text in texts.items():
            Path(name).write_text(text, encoding="utf-8")
        return [Path(name) for name in texts]

    def rows(self, query: str, database: str = "costs.db") -> list[dict[str, Any]]:
        """Rows of a query on a ledger, as any other program could ask it."""
        with closing(sqlite3.connect(self.folder / database)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Stop the server, and remove the folder."""
        self.server.stop()
        os.chdir(self._home)
        self._folder.cleanup()
