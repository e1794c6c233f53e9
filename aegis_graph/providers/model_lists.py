"""Reads the lists of models that servers give to whoever asks; for ``aegis doctor`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
"""What vLLM, OpenRouter and Together, Groq, LM Studio and llama.cpp call it."""


def listed(answer: object, key: str, *, name: str) -> dict[str, Mapping[str, Any]] | None:
    """The rows of a list by the names of their models, which are foreign text.

    Args:
        answer: What the server answered, parsed.
        key: Where the list stands in it.
        name: Where the name stands in a row.

    Returns:
        ``None`` where it is no such list.
    """
    rows = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        return None
    return {
        row[name]: row
        for row in rows
        if isinstance(row, Mapping) and isinstance(row.get(name), str)
    }


def context_length(row: Mapping[str, Any]) -> int | None:
    """Tokens of a model's context, where its row says so."""
    meta = row.get("meta")
    for table in (row, meta if isinstance(meta, Mapping) else {}):
        for key in _CONTEXT_KEYS:
            found = table.get(key)
            if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                return found
    return None
