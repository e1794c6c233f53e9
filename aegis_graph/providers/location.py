"""A row that calls itself ``local`` is refused where its calls would leave the private network."""

from __future__ import annotations

import re

from aegis_graph.config.addresses import host_of, is_private_address
from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.errors import ConfigError

UNKNOWN_ADDRESS = "unknown"
"""The address of a row that leaves it to a library where its calls go."""

_CLOUD_MODEL = re.compile(r":([^:/]*-)?cloud$")
"""Tags such as ``gpt-oss:120b-cloud`` and ``glm-4.6:cloud``, whose models an Ollama server on this
machine runs at ollama.com. Source: https://docs.ollama.com/cloud."""


def check_location(spec: ProviderSpec, address: str | None, *, source: str) -> None:
    """Make sure that a local row is local, or says in words why it may be called so.

    Args:
        spec: The row.
        address: Where its calls go; ``None`` where none leaves the process.
        source: The configuration's file, for the error.

    Raises:
        ConfigError: It goes to a public address, or says ``trusted`` where that means nothing.
    """
    row = f"{'embeddings' if isinstance(spec, EmbeddingSpec) else 'providers'}.{spec.name}"
    if spec.location == "cloud":
        if spec.trusted is not None:
            raise ConfigError(f"{source}: {row}.trusted: means nothing for a row in the cloud")
        return
    fault = _fault(spec, address)
    if fault is None or spec.trusted is not None:
        return
    raise ConfigError(
        f"{source}: {row}.location: is 'local', but {fault}, and private requests would go there;"
        ' write location = "cloud", or, where you answer for that place yourself,'
        ' trusted = "why"'
    )


def _fault(spec: ProviderSpec, address: str | None) -> str | None:
    """Why the row's calls may leave the private network; ``None`` where they do not."""
    if _CLOUD_MODEL.search(spec.model):
        return f"Ollama runs {spec.model} in its cloud"
    if address == UNKNOWN_ADDRESS:
        return "the row has no base_url, so that the library decides where calls go"
    if address is not None and not is_private_address(address):
        return f"{host_of(address) or address} is a public address"
    return None
