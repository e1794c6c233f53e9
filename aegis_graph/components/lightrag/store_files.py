"""Finds out which of LightRAG's own files keeps a workspace from being opened.

LightRAG's errors name no file. The files are read here after it has failed, and only then: the
larger ones take a while.
"""

from __future__ import annotations

import base64
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from aegis_graph.errors import AegisError, ConfigError, StoreError

_BYTES_PER_NUMBER = 4
"""NanoVectorDB keeps its vectors as 32-bit numbers."""


def opening_error(folder: Path, *, dimensions: int, paid: str) -> AegisError | None:
    """The error of a workspace that could not be opened; ``None`` where its files are sound.

    Args:
        folder: The workspace's own.
        dimensions: Length of a vector, as configured.
        paid: Name of the file of paid answers, which is beside it.
    """
    again = (
        f"put back a copy of the folder {folder}, or delete it and add the documents again:"
        f" what was paid for is kept in {paid}"
    )
    # A workspace without files is new, or is kept in another kind of store.
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.graphml")]):
        try:
            length = _check(file)
        # Whatever reading a damaged file raises, it is named; the cause is kept.
        except Exception as error:  # noqa: BLE001
            fault = StoreError(f"{file}: {_what(error)}; {again}")
            fault.__cause__ = error
            return fault
        if length not in (None, dimensions):
            return ConfigError(
                f"{file}: holds vectors of {length} numbers, and the configured embeddings give"
                f" {dimensions}; configure the model that it was made with, or delete the folder"
                f" {folder} and add the documents again"
            )
    return None


def _check(file: Path) -> int | None:
    """Read a file as LightRAG does.

    Returns:
        The length of its vectors, where it holds some.

    Raises:
        ValueError: It is not what it should be.
        OSError: It cannot be read.
    """
    if file.suffix == ".graphml":
        import_module("networkx").read_graphml(file)
        return None
    found: Any = json.loads(file.read_bytes())
    if not isinstance(found, dict):
        raise ValueError("no object")
    if not file.name.startswith("vdb_"):
        return None
    length = int(found["embedding_dim"])
    size = len(base64.b64decode(found["matrix"]))
    if size != _BYTES_PER_NUMBER * length * len(found["data"]):
        raise ValueError("its vectors are not as many as its entries")
    return length


def _what(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({(error.strerror or type(error).__name__).lower()})"
    return f"is damaged or cut short ({type(error).__name__})"
