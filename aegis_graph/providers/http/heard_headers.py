"""Which function hears the headers of the answers to a call, below all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[Mapping[str, str]], None]

_listener: ContextVar[Listener | None] = ContextVar("aegis_answer_headers", default=None)

MOST_HEADERS = 200
"""Headers of one answer that are looked at."""


@contextmanager
def headers_heard_by(listener: Listener | None) -> Iterator[None]:
    """Within it, each answer's headers go to a function, with names in lower case."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def hear(headers: Mapping[str, str]) -> None:
    """Pass the headers of an answer on, where a function hears them."""
    listener = _listener.get()
    if listener is not None:
        pairs = list(headers.items())[:MOST_HEADERS]
        listener({name.lower(): value for name, value in pairs})
