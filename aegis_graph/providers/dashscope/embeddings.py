"""The kind ``dashscope`` as a provider of embeddings."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from typing_extensions import override

from aegis_graph.providers.base import OpenModel, ProviderOptions
from aegis_graph.providers.dashscope.provider import DashScopeProvider
from aegis_graph.providers.dashscope.sdk import open_client
from aegis_graph.providers.embedding_model import (
    EmbeddingChatModel,
    EmbeddingProvider,
    EmbeddingResult,
    TextType,
)
from aegis_graph.providers.http import httpx_client


class DashScopeEmbeddings(EmbeddingProvider, DashScopeProvider):
    """An embedding model of DashScope, over its native protocol and its official SDK."""

    # An answer's settings mean nothing here.
    options_type = ProviderOptions
    # The service's own limit:
    # https://www.alibabacloud.com/help/en/model-studio/text-embedding-synchronous-api
    texts_per_call = 10

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        """Open the endpoint for a key.

        Raises:
            AuthenticationError: There is no key.
        """
        key = self.checked_key(api_key)
        clients: list[tuple[httpx.AsyncClient, Any]] = []
        opening = asyncio.Lock()

        async def embed(texts: list[str], text_type: TextType) -> EmbeddingResult:
            async with opening:
                if not clients:
                    clients.append(await asyncio.to_thread(self._open, api_key))
            answer = await clients[0][1].embeddings.create(
                model=self.spec.model,
                input=texts,
                text_type=text_type,
                dimension=self.dimensions,
                # The SDK puts no key on a client that it did not build.
                api_key=key,
            )
            rows = sorted(answer.embeddings, key=lambda row: row.index)
            usage = answer.usage
            # The SDK reports a count that the wire left out as 0.
            counted = usage.total_tokens if usage is not None else None
            return EmbeddingResult([row.embedding for row in rows], counted or None)

        async def aclose() -> None:
            for http, _ in clients:
                await http.aclose()

        return OpenModel(EmbeddingChatModel(embed, model=self.spec.model), aclose)

    def _open(self, api_key: str | None) -> tuple[httpx.AsyncClient, Any]:
        """Build the client."""
        # The SDK puts no address on a client that it did not build either.
        http = httpx_client(self.spec, api_key, most_bytes=self.most_bytes, base_url=self.address)
        client = open_client(
            "AsyncClient",
            http_client=http,
            api_key=self.checked_key(api_key),
            base_url=self.address,
            timeout=self.spec.time_limits.whole_s,
        )
        return http, client
