"""DashScope's official SDK, which is an extra of this package."""

from __future__ import annotations

import importlib
from typing import Any

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
