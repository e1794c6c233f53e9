"""The kinds ``ollama``, ``openai`` and ``dashscope`` as providers of embeddings.

Each is its chat provider with another call: key, errors and probe are the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import httpx
from langchain_core.messages import AIMessage

from aegis_graph.config.specs import EmbeddingSpec
from aegis_graph.errors import AuthenticationError
from aegis_graph.providers import dashscope, ollama, openai
from aegis_graph.providers.base import OpenModel, Provider
from aegis_graph.providers.chat_dashscope import load_sdk
from aegis_graph.providers.transport import KEEPALIVE_S, MAX_CONNECTIONS
from aegis_graph.providers.vectors import Embedded, TextType, VectorModel, check_vectors

_LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=MAX_CONNECTIONS,
    keepalive_expiry=KEEPALIVE_S,
)


class EmbeddingProvider(Provider):
    """What the kinds have in common: no output, and vectors that are checked."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        assert isinstance(self.spec, EmbeddingSpec), "the registry builds these from such rows only"
        return self.spec.dimensions

    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """None: an embedding has no output to cap."""
        return {}

    def arguments(self, max_output_tokens: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """None: what a request may choose is about answers."""
        return {}

    def output_bound(self, max_output_tokens: int) -> int:
        """No output is billed."""
        return 0

    def check_complete(self, answer: AIMessage) -> None:
        """Make sure that there is a vector of the right length for each text.

        Raises:
            MalformedAnswerError: There is not.
        """
        check_vectors(answer, dimensions=self.dimensions)


class OllamaEmbeddings(EmbeddingProvider, ollama.OllamaProvider):
    """An embedding model served by Ollama."""

    def load(self) -> None:
        """See ``Provider.load``."""
        import httpx_aiohttp  # noqa: F401, PLC0415  heavy: loaded with the first call
        import ollama as client  # noqa: F401, PLC0415  heavy: loaded with the first call

    def open_model(self, api_key: str | None) -> OpenModel:
        """See ``Provider.open_model``."""
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415  loaded by now
        from ollama import AsyncClient  # noqa: PLC0415  loaded by now

        transport = AiohttpTransport(limits=_LIMITS)
        auth = ollama.Bearer(api_key) if api_key else None
        client = AsyncClient(
            self.spec.base_url or ollama.DEFAULT_URL, transport=transport, auth=auth
        )

        async def embed(texts: list[str], text_type: TextType) -> Embedded:
            # A text that does not fit is an error, not a vector of its beginning.
            answer = await client.embed(
                self.spec.model, texts, truncate=False, dimensions=self.dimensions
            )
            return Embedded(answer.embeddings, answer.prompt_eval_count)

        return OpenModel(VectorModel(embed, model=self.spec.model), transport.aclose)


class OpenAIEmbeddings(EmbeddingProvider, openai.OpenAIProvider):
    """An embedding model of OpenAI, or of a compatible endpoint when ``base_url`` is set."""

    def load(self) -> None:
        """See ``Provider.load``."""
        import openai as client  # noqa: F401, PLC0415  heavy: loaded with the first call

    def open_model(self, api_key: str | None) -> OpenModel:
        """See ``Provider.open_model``."""
        from openai import AsyncOpenAI, DefaultAioHttpClient, omit  # noqa: PLC0415  loaded by now

        http = DefaultAioHttpClient(limits=openai.connection_limits())
        client = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=self.spec.base_url or openai.DEFAULT_URL,
            max_retries=0,
            http_client=http,
        )
        # Most compatible servers refuse the argument for a model with one length only.
        shortens = self._is_openai and self.spec.model.startswith("text-embedding-3")

        async def embed(texts: list[str], text_type: TextType) -> Embedded:
            answer = await client.embeddings.create(
                model=self.spec.model,
                input=texts,
                dimensions=self.dimensions if shortens else omit,
                encoding_format="float",
            )
            rows = sorted(answer.data, key=lambda row: row.index)
            usage = answer.usage
            return Embedded([row.embedding for row in rows], usage.prompt_tokens if usage else None)

        return OpenModel(VectorModel(embed, model=self.spec.model), http.aclose)


class DashScopeEmbeddings(EmbeddingProvider, dashscope.DashScopeProvider):
    """An embedding model of DashScope, over its native protocol and its official SDK."""

    def open_model(self, api_key: str | None) -> OpenModel:
        """See ``Provider.open_model``.

        Raises:
            AuthenticationError: There is no key.
        """
        if not api_key:
            raise AuthenticationError(f"{self.spec.name}: there is no key")
        clients: list[tuple[httpx.AsyncClient, Any]] = []
        opening = asyncio.Lock()

        async def embed(texts: list[str], text_type: TextType) -> Embedded:
            async with opening:
                if not clients:
                    clients.append(await asyncio.to_thread(self._open, api_key))
            answer = await clients[0][1].embeddings.create(
                model=self.spec.model,
                input=texts,
                text_type=text_type,
                dimension=self.dimensions,
                # The SDK puts no key on a client that it did not build.
                api_key=api_key,
            )
            rows = sorted(answer.embeddings, key=lambda row: row.index)
            usage = answer.usage
            counted = usage.total_tokens if usage is not None else None
            return Embedded([row.embedding for row in rows], counted or None)

        async def aclose() -> None:
            for http, _ in clients:
                await http.aclose()

        return OpenModel(VectorModel(embed, model=self.spec.model), aclose)

    def _open(self, api_key: str) -> tuple[httpx.AsyncClient, Any]:
        """Build the client: every setting, because the SDK looks in files for the others."""
        from httpx_aiohttp import HttpxAiohttpClient  # noqa: PLC0415  with the SDK, in a thread

        # The SDK puts no address on a client that it did not build either.
        http = HttpxAiohttpClient(
            base_url=self._base_url, timeout=self.spec.timeout_s, limits=_LIMITS
        )
        client = load_sdk().AsyncClient(
            http_client=http,
            api_key=api_key,
            base_url=self._base_url,
            protocol="native",
            timeout=self.spec.timeout_s,
            max_retries=0,
            config_path=os.devnull,
        )
        return http, client
