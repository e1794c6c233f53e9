"""Changes of a document, which make a valid answer a hostile one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Document = dict[str, Any]
Change = Callable[[Document], None]


def setting(key: str | Sequence[str], value: object) -> Change:
    """A change that sets a key, or a key in a table of a document."""
    *tables, last = [key] if isinstance(key, str) else key

    def change(document: Document) -> None:
        for table in tables:
            document = document.setdefault(table, {})
        document[last] = value

    return change


def updating(more: Mapping[str, object]) -> Change:
    """A change that sets several keys."""
    return lambda document: document.update(more)


def dropping(*keys: str) -> Change:
    """A change that takes keys away."""

    def change(document: Document) -> None:
        for key in keys:
            document.pop(key, None)

    return change
