"""The kind ``ollama``: models on this machine or this network."""

from aegis_graph.providers.ollama.provider import OllamaProvider as OllamaProvider
