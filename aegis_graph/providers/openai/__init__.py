"""The kind ``openai``: OpenAI and every endpoint that speaks its protocol."""

from aegis_graph.providers.openai.provider import OpenAIProvider as OpenAIProvider
