"""Questions to a ledger, written once for every way of asking: in a thread, or from async code.

A question is a generator. It yields statements, is sent the rows of each, and returns its answer;
it has no connection, so whoever asks decides how statements are run.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")


class Statement(NamedTuple):
    """A statement that changes nothing; its parameters are written as ``?``."""

    sql: str
    parameters: Sequence[Any] = ()


class Answer(NamedTuple):
    """What came of a question."""

    value: Any


Query: TypeAlias = Generator[Statement, list[Any], T]
"""A question whose answer is a ``T``."""


def advance(query: Query[Any], rows: list[Any] | None) -> Statement | Answer:
    """Go on with a question: from its beginning without rows, else from where it waits for them."""
    try:
        return next(query) if rows is None else query.send(rows)
    except StopIteration as end:
        return Answer(end.value)
