"""Names under which a request may choose providers: their own, their models', and aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aegis_graph.config.specs import ProviderSpec

AUTO = "auto"
"""Chooses nothing: the whole chain, as the configuration orders it."""


def rows_named(name: str, rows: Iterable[ProviderSpec]) -> list[str]:
    """The providers that a name stands for: the one that bears it, or all that have such a model.

    Args:
        name: A provider's name, or a model.
        rows: The configured providers, in order.

    Example:
        >>> from aegis_graph.config.defaults import DEFAULT_PROVIDERS
        >>> rows_named("gpt-4o", DEFAULT_PROVIDERS)
        ['openai']
    """
    every = list(rows)
    own = [row.name for row in every if row.name == name]
    return own or [row.name for row in every if row.model == name]


def check_aliases(aliases: Mapping[str, Sequence[str]], rows: Sequence[ProviderSpec]) -> None:
    """Make sure that each alias has a name of its own and leads to providers.

    Args:
        aliases: Names of providers or models, in the order in which they are asked, by alias.
        rows: The configured providers.

    Raises:
        ValueError: One line that names the alias.
    """
    for alias, names in aliases.items():
        where = f"aliases.{alias}"
        if not alias.strip() or not alias.isprintable() or alias == AUTO:
            raise ValueError(f"{where}: is no name for one; {AUTO!r} means the whole chain")
        if rows_named(alias, rows):
            raise ValueError(f"{where}: hides the provider or the model of that name; rename it")
        if not names:
            raise ValueError(f"{where}: empty; name at least one provider or model")
        for name in names:
            if name in aliases:
                raise ValueError(f"{where}: {name!r} is an alias itself; name what it stands for")
            if not rows_named(name, rows):
                raise ValueError(f"{where}: no provider and no model is named {name!r}")
