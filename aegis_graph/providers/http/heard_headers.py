"""Which function hears the headers of the answers to a call, below all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Listener = Callable[[Mapping[str, str]], None]

_listener: ContextVar[Listener | None] = ContextVar("aegis_answer_headers", default=None)

MOST_HEADERS = 200
"""Headers of one answer that are looked at."""


def headers_heard_by(listener: Listener | None) -> AbstractContextManager[None]:
    """Within it, each answer's headers go to a function, with names in lower case."""
    return nullcontext() if listener is None else _heard_by(listener)


@contextmanager
def _heard_by(listener: Listener) -> Iterator[None]:
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
