"""Embeddings of models that Ollama serves."""

from __future__ import annotations

from typing_extensions import override

from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.embedding_model import (
    EmbeddingChatModel,
    EmbeddingProvider,
    EmbeddingResult,
    TextType,
)
from aegis_graph.providers.http import httpx_transport
from aegis_graph.providers.ollama.provider import OllamaProvider
from aegis_graph.providers.ollama.wrong_counts import leave_out_wrong_counts


class OllamaEmbeddings(EmbeddingProvider, OllamaProvider):
    """An embedding model served by Ollama."""

    # Ollama takes any number, but a smaller call loses less when it fails.
    texts_per_call = 64

    @override
    def load(self) -> None:
        import httpx_aiohttp  # noqa: F401, PLC0415  heavy: loaded with the first call
        import ollama as client  # noqa: F401, PLC0415  heavy: loaded with the first call

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        from ollama import AsyncClient  # noqa: PLC0415  loaded by now

        transport = httpx_transport(self.spec, api_key, most_bytes=self.most_bytes)
        client = AsyncClient(self.address, follow_redirects=False, transport=transport)
        leave_out_wrong_counts(client)

        async def embed(texts: list[str], text_type: TextType) -> EmbeddingResult:
            # A text that does not fit is an error, not a vector of its beginning.
            answer = await client.embed(
                self.spec.model,
                texts,
                truncate=False,
                dimensions=self.dimensions,
                options=self.settings.sampling() or None,
                keep_alive=self.settings.keep_alive,
            )
            return EmbeddingResult(answer.embeddings, answer.prompt_eval_count)

        return OpenModel(EmbeddingChatModel(embed, model=self.spec.model), transport.aclose)
