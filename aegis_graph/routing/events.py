"""Events of the router for callers that stream its graph with ``stream_mode="custom"``."""

from __future__ import annotations

from langgraph.config import get_stream_writer
from langgraph.types import StreamWriter


def stream_writer() -> StreamWriter:
    """Writes to the run's custom stream; outside a run of LangGraph's engine, to none."""
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):
        # No run is around it on the fast path (RuntimeError), and in a plain runnable the
        # configuration has no entry of LangGraph's (KeyError).
        return no_writer


def no_writer(event: object) -> None:
    """Writes to no stream."""
    return
