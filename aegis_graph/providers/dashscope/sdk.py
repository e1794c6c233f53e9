"""DashScope's official SDK, which is an extra of this package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from aegis_graph.config.specs import ProviderSpec

INSTALL = "pip install 'aegis-graph[dashscope]'"
"""The line that installs the SDK."""


def load_sdk() -> Any:
    """The SDK, imported when it is needed: it takes 1.2 s and 60 MiB.

    Raises:
        ModuleNotFoundError: It is not installed. The message says how to install it.
    """
    try:
        return importlib.import_module("dashscope")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"DashScope needs: {INSTALL}", name=missing.name) from missing


def cloud_row(model: str, base_url: str, headers: Mapping[str, str]) -> ProviderSpec:
    """The row of a chat model that is used without a router, for its HTTP client."""
    return ProviderSpec(
        name="dashscope",
        kind="dashscope",
        model=model,
        location="cloud",
        base_url=base_url,
        options={"extra_headers": headers},
    )
