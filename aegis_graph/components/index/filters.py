"""Which documents of an index a search is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import DEFAULT_SENSITIVITY, SENSITIVITIES

Where = Mapping[str, str | Sequence[str]]
"""By ``source``, ``title`` or ``heading``: a pattern in which ``*`` stands for anything; by
``sensitivity``: a level. A list stands for any of its values."""

_COLUMNS = {"source": "d.source", "title": "d.title", "heading": "p.heading"}
_PLAIN = f"coalesce(d.sensitivity, '{DEFAULT_SENSITIVITY}')"


class Condition(NamedTuple):
    """What is added to a statement over passages ``p`` and documents ``d``."""

    sql: str
    """True where there is no filter."""
    parameters: tuple[str, ...]


def condition_of(where: Where | None) -> Condition:
    """A filter as SQL.

    Raises:
        InvalidRequestError: It names something else, or a level that there is not.

    Example:
        >>> condition_of({"source": "guides/*"}).sql
        '(d.source GLOB ?)'
    """
    parts: list[str] = []
    parameters: list[str] = []
    for key, value in (where or {}).items():
        values = [value] if isinstance(value, str) else list(value)
        if key == "sensitivity":
            unknown = [one for one in values if one not in SENSITIVITIES]
            if unknown:
                known = ", ".join(SENSITIVITIES)
                raise InvalidRequestError(f"where: {unknown[0]!r} is no level; use {known}")
            marks = ", ".join("?" for _ in values)
            parts.append(f"{_PLAIN} IN ({marks})")
        elif key in _COLUMNS:
            either = " OR ".join(f"{_COLUMNS[key]} GLOB ?" for _ in values) or "0"
            parts.append(f"({either})")
        else:
            known = ", ".join([*_COLUMNS, "sensitivity"])
            raise InvalidRequestError(f"where: cannot filter by {key!r}; use {known}")
        parameters += values
    return Condition(" AND ".join(parts) or "1", tuple(parameters))
