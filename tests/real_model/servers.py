"""Where a real model and real embeddings are, and a configuration that asks them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_graph import RouterConfig

LONG_S = 600.0
"""Generous: on a busy machine without a graphics card, a small model reads a page in a minute."""


def address(variable: str) -> str:
    """The address that a variable of the environment names; without it the test is skipped."""
    url = os.environ.get(variable)
    if not url:
        pytest.skip(f"{variable} names no server")
    return url.rstrip("/")


def first_model(url: str) -> str:
    """The model that an OpenAI-compatible server serves, by its own list."""
    answer = httpx.get(f"{url}/models", timeout=LONG_S, trust_env=False).raise_for_status()
    return str(answer.json()["data"][0]["id"])


class RealModels:
    """A real model, as a local provider that costs what the test says."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.root = url.removesuffix("/v1")
        self.model = first_model(url)
        self.ledger = folder / "costs.db"

    def row(self, **changes: Any) -> dict[str, Any]:
        """Its row of the configuration."""
        return {
            "name": "real",
            "kind": "openai",
            "model": self.model,
            "base_url": self.url,
            "location": "local",
            "timeout_s": LONG_S,
            "first_token_timeout_s": LONG_S,
            "idle_timeout_s": LONG_S,
            "max_output_tokens": 64,
            # A dollar a million tokens: what a call costs is its tokens, in millionths.
            "price": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"},
            **changes,
        }

    def config(self, *more: dict[str, Any], **sections: Any) -> RouterConfig:
        """A configuration with its row, or with others."""
        return RouterConfig.model_validate(
            {
                "ledger": {"url": f"sqlite:///{self.ledger}"},
                "providers": list(more) or [self.row()],
                **sections,
            }
        )
