"""Which limits an attempt must fit into, beside the budgets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aegis_graph.config.limit_specs import LimitSpec
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.ledger.limits import UnitLimit


def limits_of(spec: ProviderSpec, limits: Iterable[LimitSpec]) -> tuple[UnitLimit, ...]:
    """The limits of an attempt at a provider: those of its row, and the configuration's others.

    Those that are for another provider or model are left out; whether one concerns a request's
    user, task or tags, the ledger finds.

    Args:
        spec: The provider's row.
        limits: The configuration's ``limits``.

    Example:
        >>> spec = ProviderSpec(
        ...     name="here", kind="ollama", model="m", location="local", max_concurrency=1
        ... )
        >>> [(one.scope, one.most) for one in limits_of(spec, [])]
        [('provider:here', 1)]
    """
    return tuple(_limits_of(spec, limits))


def _limits_of(spec: ProviderSpec, limits: Iterable[LimitSpec]) -> Iterator[UnitLimit]:
    own = f"provider:{spec.name}"
    for unit, most in spec.in_units.items():
        yield UnitLimit(own, unit, most)
    for row in limits:
        if not row.scope.startswith(("provider:", "model:")) or row.scope in {
            own,
            f"model:{spec.model}",
        }:
            for unit, most in row.in_units.items():
                yield UnitLimit(row.scope, unit, most)


def configured_limits(config: RouterConfig) -> list[UnitLimit]:
    """Every limit of a configuration, those of the rows first."""
    rows = [row for row in (*config.providers, *config.embeddings) if row.enabled]
    own = [limit for row in rows for limit in limits_of(row, ())]
    shared = [
        UnitLimit(row.scope, unit, most)
        for row in config.limits
        for unit, most in row.in_units.items()
    ]
    return list(dict.fromkeys([*own, *shared]))
