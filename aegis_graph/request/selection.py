"""Which providers a request chooses: by a model's name, by their own names, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aegis_graph.config.aliases import AUTO
from aegis_graph.errors import InvalidRequestError

SELECTING = ("model", "providers")
"""The keys by which a request chooses providers."""

NARROWING = "aegis_selections"
"""Key with choices that a nearer one can only narrow: those bound to a router, and those with which
a request in progress began."""

MAX_NAME = 200
"""Characters of a name; models of gateways have long ones."""

MAX_PROVIDERS = 200


class Selection(NamedTuple):
    """What one place chooses; ``None`` chooses nothing."""

    model: str | None
    providers: tuple[str, ...] | None

    def as_json(self) -> dict[str, Any]:
        """The form in which a request's state has it."""
        providers = None if self.providers is None else list(self.providers)
        return {"model": self.model, "providers": providers}


def read_selections(state: Mapping[str, Any]) -> tuple[Selection, ...]:
    """What a request chooses, the nearest place first.

    Raises:
        InvalidRequestError: A name is none.

    Example:
        >>> read_selections({"model": "fast"})
        (Selection(model='fast', providers=None),)
    """
    places = [state, *(state.get(NARROWING) or ())]
    found = [_read(place.get("model"), place.get("providers")) for place in places]
    # A run in progress brings what it began with beside the same once more.
    return tuple(dict.fromkeys(one for one in found if one != (None, None)))


def _read(model: object, providers: object) -> Selection:
    name = None if model is None or model == AUTO else _checked("model", model)
    if providers is None:
        return Selection(name, None)
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise InvalidRequestError("providers: must be a list of providers' names")
    if not 0 < len(providers) <= MAX_PROVIDERS:
        raise InvalidRequestError(f"providers: must be a list of 1 to {MAX_PROVIDERS} names")
    return Selection(name, tuple(_checked("providers", one) for one in providers))


def _checked(key: str, value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable():
        return value
    raise InvalidRequestError(f"{key}: a name is printable text of 1 to {MAX_NAME} characters")
