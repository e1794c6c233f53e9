"""Embeddings of OpenAI, and of every endpoint that speaks its protocol."""

from __future__ import annotations

from typing_extensions import override

from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.client_errors import error_from_body
from aegis_graph.providers.embedding_model import (
    EmbeddingChatModel,
    EmbeddingProvider,
    EmbeddingResult,
    TextType,
)
from aegis_graph.providers.http import openai_http_client
from aegis_graph.providers.openai.options import OpenAIEmbeddingOptions
from aegis_graph.providers.openai.provider import OpenAIProvider


class OpenAIEmbeddings(EmbeddingProvider, OpenAIProvider):
    """An embedding model of OpenAI, or of a compatible endpoint when ``base_url`` is set."""

    options_type = OpenAIEmbeddingOptions
    options: OpenAIEmbeddingOptions
    # OpenAI takes 2,048, but a smaller call loses less when it fails.
    texts_per_call = 256

    @override
    def load(self) -> None:
        import openai as client  # noqa: F401, PLC0415  heavy: loaded with the first call

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        from openai import AsyncOpenAI, omit  # noqa: PLC0415  loaded by now

        http = openai_http_client(self.spec, api_key, most_bytes=self.most_bytes)
        client = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=self.address,
            max_retries=0,
            http_client=http,
        )
        more = self.options
        # Most compatible servers refuse the argument for a model with one length only.
        shortens = self.is_openai and self.spec.model.startswith("text-embedding-3")

        async def embed(texts: list[str], text_type: TextType) -> EmbeddingResult:
            answer = await client.embeddings.create(
                model=self.spec.model,
                input=texts,
                dimensions=self.dimensions if shortens else omit,
                encoding_format="float",
                extra_body=dict(more.extra_body),
                extra_headers=dict(more.extra_headers),
            )
            if not answer.data and (error := (answer.model_extra or {}).get("error")):
                raise error_from_body(error)
            rows = sorted(answer.data, key=lambda row: row.index)
            usage = answer.usage
            return EmbeddingResult(
                [row.embedding for row in rows], usage.prompt_tokens if usage else None
            )

        return OpenModel(EmbeddingChatModel(embed, model=self.spec.model), http.aclose)
