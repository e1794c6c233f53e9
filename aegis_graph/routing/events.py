"""Events of the router for whoever streams its graph with ``stream_mode="custom"``."""

from __future__ import annotations

from langgraph.config import get_stream_writer
from langgraph.types import StreamWriter


def stream_writer() -> StreamWriter:
    """Tells whoever streams; outside a run of LangGraph's engine, nobody."""
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # house: no run around it, or that of a plain runnable
        return _nobody


def _nobody(event: object) -> None:
    return
