"""What a provider says of itself without being paid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """What ``aegis doctor`` found out about a provider without buying anything."""

    reachable: bool | None
    """``None`` where the provider offers no free way to ask."""
    model_there: bool | None
    """``None`` where the provider offers no free way to ask."""
    detail: str = ""
    models: tuple[str, ...] = ()
    """What the server has, as it names them."""
    context_length: int | None = None
    """Tokens that the model's context has there; ``None`` where the server does not say it."""
