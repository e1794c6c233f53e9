"""Many items through one graph, under one envelope of money."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis_graph.bulk.job import create_bulk

__all__ = ["create_bulk"]


def __getattr__(name: str) -> Any:
    # Not at the top: what only shows jobs, as the server does, needs a tenth of what runs one.
    if name != "create_bulk":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from aegis_graph.bulk.job import create_bulk  # noqa: PLC0415

    return create_bulk
