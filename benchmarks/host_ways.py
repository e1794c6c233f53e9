"""The ways in which a host graph is run and keeps its state, by name."""

from __future__ import annotations

from typing import Any

CHECKPOINTS = ("none", "memory", "sqlite")
CALLS = ("ainvoke", "invoke")
STREAMS: dict[str, dict[str, Any]] = {
    "values": {"stream_mode": "values"},
    "updates": {"stream_mode": "updates"},
    "messages": {"stream_mode": "messages"},
    "messages, subgraphs": {"stream_mode": "messages", "subgraphs": True},
    "custom": {"stream_mode": "custom"},
    "tasks": {"stream_mode": "tasks"},
    "debug": {"stream_mode": "debug"},
}
"""The modes of ``astream``; ``checkpoints`` has nothing to say without a checkpointer."""
