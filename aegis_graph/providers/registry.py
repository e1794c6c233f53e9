"""Which class serves which kind: those of this package, and those that other packages bring.

Another package registers a kind in its own ``pyproject.toml``::

    [project.entry-points."aegis_graph.providers"]
    acme = "acme_aegis:AcmeProvider"
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.providers.base import Provider

if TYPE_CHECKING:
    from aegis_graph.providers.embedding_model import EmbeddingProvider

ENTRY_POINT_GROUP = "aegis_graph.providers"

BUILT_IN: Mapping[str, str] = {
    "anyllm": "aegis_graph.providers.anyllm.provider:AnyLLMProvider",
    "dashscope": "aegis_graph.providers.dashscope.provider:DashScopeProvider",
    "extractive": "aegis_graph.providers.extractive.provider:ExtractiveProvider",
    "langchain": "aegis_graph.providers.langchain:LangChainProvider",
    "ocr": "aegis_graph.providers.ocr.provider:OcrProvider",
    "ollama": "aegis_graph.providers.ollama.provider:OllamaProvider",
    "openai": "aegis_graph.providers.openai.provider:OpenAIProvider",
}
"""A kind's module is imported when a configuration names it.

Another package can add kinds, and replace none of these.
"""

EMBEDDING_KINDS: Mapping[str, str] = {
    "dashscope": "aegis_graph.providers.dashscope.embeddings:DashScopeEmbeddings",
    "ollama": "aegis_graph.providers.ollama.embeddings:OllamaEmbeddings",
    "openai": "aegis_graph.providers.openai.embeddings:OpenAIEmbeddings",
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
        ConfigError: Nothing serves this kind, an option is wrong, or no price of its model is
            known.

    Example:
        >>> from aegis_graph.config.defaults import DEFAULT_PROVIDERS
        >>> create_provider(DEFAULT_PROVIDERS[0], source="defaults").spec.name
        'ollama'
    """
    provider_type: type[Provider]
    if isinstance(spec, EmbeddingSpec):
        provider_type = _embedding_class_of(
            spec.kind, where=f"{source}: embeddings.{spec.name}.kind"
        )
    else:
        provider_type = _class_of(spec.kind, where=f"{source}: providers.{spec.name}.kind")
    return provider_type(spec, source=source, environ=environ)


def texts_per_call(spec: EmbeddingSpec, *, source: str) -> int:
    """Most texts of one call to a provider of embeddings: what its row says, or suits its kind.

    Raises:
        ConfigError: The kind is unknown.
    """
    embedding_type = _embedding_class_of(spec.kind, where=f"{source}: embeddings.{spec.name}.kind")
    return spec.batch_size or embedding_type.texts_per_call


def kinds() -> list[str]:
    """Every kind that a configuration may name here, in alphabetical order."""
    return sorted({*BUILT_IN, *entry_points(group=ENTRY_POINT_GROUP).names})


def _embedding_class_of(kind: str, *, where: str) -> type[EmbeddingProvider]:
    # Imported here: a router that only chats opens no such model.
    from aegis_graph.providers.embedding_model import EmbeddingProvider  # noqa: PLC0415

    built_in = EMBEDDING_KINDS.get(kind)
    if built_in is None:
        known = ", ".join(sorted(EMBEDDING_KINDS))
        raise ConfigError(f"{where}: {kind!r} is unknown; known are {known}")
    found = _imported(built_in)
    assert issubclass(found, EmbeddingProvider), "the table above names such classes only"
    return found


def _imported(target: str) -> type[Provider]:
    module, _, name = target.partition(":")
    found: type[Provider] = getattr(import_module(module), name)
    return found


def _class_of(kind: str, *, where: str) -> type[Provider]:
    # First: a search of entry points reads the metadata of every installed package.
    built_in = BUILT_IN.get(kind)
    if built_in is not None:
        return _imported(built_in)
    brought = list(entry_points(group=ENTRY_POINT_GROUP, name=kind))
    if not brought:
        raise ConfigError(f"{where}: {kind!r} is unknown; known are {', '.join(kinds())}")
    if len(brought) > 1:
        packages = ", ".join(sorted(_package(one) for one in brought))
        raise ConfigError(f"{where}: {kind!r} is brought by more than one package: {packages}")
    return _loaded(brought[0], kind, where=where)


def _loaded(point: EntryPoint, kind: str, *, where: str) -> type[Provider]:
    """The class behind an entry point."""
    origin = f"{where}: {kind!r}, brought by {_package(point)} as {point.value}"
    try:
        found = point.load()
    except Exception as error:
        # Code of another package may raise anything when it is imported.
        what = str(error).partition("\n")[0]
        raise ConfigError(
            f"{origin}, cannot be imported: {type(error).__name__}: {what}"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, Provider)) or inspect.isabstract(found):
        raise ConfigError(f"{origin}, is not a complete subclass of {Provider.__name__}")
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed package"
