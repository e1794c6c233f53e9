"""What OpenTelemetry's GenAI conventions call the service behind a provider."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_graph.providers.base import Provider

_SYSTEMS: Mapping[str, str] = {
    "azure_openai": "azure.ai.openai",
    "azureopenai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""The conventions' names for kinds and libraries' names, where the two differ; the others are the
same (``openai``), or the conventions have none (``ollama``, ``dashscope``).

Source: https://github.com/open-telemetry/semantic-conventions-genai (``gen_ai.provider.name``)
"""


def system_name(provider: Provider) -> str:
    """The value of ``gen_ai.provider.name`` for a provider."""
    # Only a kind with a library of its own has one.
    library: str = getattr(provider, "library_name", "")
    name = library or provider.spec.kind
    return _SYSTEMS.get(name, name)
