"""Which class serves which kind. A kind's module is imported when a configuration names it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from aegis_graph.errors import ConfigError
from aegis_graph.providers.base import Provider
from aegis_graph.specs import ProviderSpec

KINDS: Mapping[str, str] = {
    "dashscope": "aegis_graph.providers.dashscope:DashScopeProvider",
    "extractive": "aegis_graph.providers.extractive:ExtractiveProvider",
    "ollama": "aegis_graph.providers.ollama:OllamaProvider",
    "openai": "aegis_graph.providers.openai:OpenAIProvider",
}


def create_provider(
    spec: ProviderSpec, *, source: str, environ: Mapping[str, str] | None = None
) -> Provider:
    """Build the provider that a row of the configuration describes.

    Args:
        spec: The row.
        source: The configuration's file, for the error.
        environ: Where keys are looked up by name, by default the process's environment.

    Raises:
        ConfigError: Nothing serves this kind, or nobody knows what its model costs.

    Example:
        >>> from aegis_graph.specs import DEFAULT_PROVIDERS
        >>> create_provider(DEFAULT_PROVIDERS[0], source="defaults").spec.name
        'ollama'
    """
    target = KINDS.get(spec.kind)
    if target is None:
        raise ConfigError(
            f"{source}: providers.{spec.name}.kind: {spec.kind!r} is unknown;"
            f" known are {', '.join(sorted(KINDS))}"
        )
    module, _, name = target.partition(":")
    provider: type[Provider] = getattr(import_module(module), name)
    return provider(spec, source=source, environ=environ)
