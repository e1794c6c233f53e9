"""From what a request chooses to the providers that are meant, in their order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aegis_graph.config.aliases import AUTO, rows_named
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.selection import Selection


@dataclass(frozen=True, slots=True)
class ProviderNames:
    """The names under which a configuration's providers can be chosen.

    Args:
        rows: Every configured provider, those that are switched off too: to name one is no mistake.
        aliases: Names of providers or models, in order, by alias.
    """

    rows: Sequence[ProviderSpec]
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def chosen(self, selections: Sequence[Selection]) -> list[str] | None:
        """The names of the providers that all choices have in common, in the chosen order.

        The order is that of the nearest choice of ``providers``, else that of the nearest alias.

        Args:
            selections: What is chosen, the nearest place first.

        Returns:
            ``None`` where nothing is chosen: the whole chain.

        Raises:
            InvalidRequestError: A name is unknown. The message lists those that there are.

        Example:
            >>> from aegis_graph.config.defaults import DEFAULT_PROVIDERS
            >>> names = ProviderNames(DEFAULT_PROVIDERS, {"fast": ["ollama", "qwen-plus"]})
            >>> names.chosen([Selection("fast", None)])
            ['ollama', 'dashscope']
        """
        lists = [self._known(one.providers) for one in selections if one.providers is not None]
        models = [self._of_model(one.model) for one in selections if one.model is not None]
        every = [*lists, *models]
        if not every:
            return None
        return [name for name in every[0] if all(name in other for other in every[1:])]

    def lists(self, selections: Sequence[Selection]) -> bool:
        """Whether the choices say in which order providers are asked, as lists and aliases do."""
        return any(
            one.providers is not None or (one.model is not None and one.model in self.aliases)
            for one in selections
        )

    def _known(self, providers: Sequence[str]) -> list[str]:
        known = [row.name for row in self.rows]
        for name in providers:
            if name not in known:
                raise InvalidRequestError(
                    f"providers: {name!r} is unknown; there are {', '.join(known)}"
                )
        return list(dict.fromkeys(providers))

    def _of_model(self, model: str) -> list[str]:
        meant = self.aliases.get(model, [model])
        found = [name for one in meant for name in rows_named(one, self.rows)]
        if not found:
            own = [name for row in self.rows for name in (row.name, row.model)]
            known = ", ".join(dict.fromkeys([AUTO, *self.aliases, *own]))
            raise InvalidRequestError(f"model: {model!r} is unknown; there are {known}")
        return list(dict.fromkeys(found))


def why_not(name: str, chosen: Sequence[str] | None) -> str | None:
    """Why a provider is not asked because of what is chosen; ``None`` where it may be."""
    if chosen is None or name in chosen:
        return None
    if not chosen:
        return "not among the chosen: the choices have no provider in common"
    return f"not among the chosen: {', '.join(chosen)}"


def in_order(names: Sequence[str], chosen: Sequence[str] | None) -> list[str]:
    """The providers with the chosen ones first, in the chosen order."""
    place = {name: number for number, name in enumerate(chosen or ())}
    return sorted(names, key=lambda name: place.get(name, len(place)))
