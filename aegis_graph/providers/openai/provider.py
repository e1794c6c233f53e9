"""Kind ``openai``: OpenAI and every endpoint that speaks its protocol, through langchain-openai."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from aegis_graph.config.specs import SchemaMethod
from aegis_graph.errors import ProviderError
from aegis_graph.providers.base import OpenModel, Probe, Provider
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.http import openai_http_client, probe_models
from aegis_graph.providers.openai.images import openai_image_tokens
from aegis_graph.request.images import ImageSize
from aegis_graph.types import CallOptions

DEFAULT_URL = "https://api.openai.com/v1"


class OpenAIProvider(Provider):
    """A model of OpenAI, or of a compatible endpoint when ``base_url`` is set."""

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own service."""
        return self.spec.base_url in {None, DEFAULT_URL}

    @property
    @override
    def key_env(self) -> str | None:
        """A compatible endpoint may take calls without a key."""
        return self.spec.api_key_env or ("OPENAI_API_KEY" if self.is_openai else None)

    @override
    def load(self) -> None:
        import openai  # noqa: F401, PLC0415

        import aegis_graph.providers.openai.chat_model  # noqa: F401, PLC0415

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: the clients take longer to import than the whole package.
        from pydantic import SecretStr  # noqa: PLC0415

        from aegis_graph.providers.openai.chat_model import ChatCompatible  # noqa: PLC0415

        client = openai_http_client()
        model = ChatCompatible(
            model=self.spec.model,
            # Where either is missing, the client looks for it in the environment.
            api_key=SecretStr(api_key or "none"),
            base_url=self.spec.base_url or DEFAULT_URL,
            max_retries=0,
            stream_usage=True,
            # The attempt has a limit of its own. This one waits by asyncio.wait_for for each chunk,
            # which before Python 3.12 can swallow a cancellation.
            stream_chunk_timeout=None,
            temperature=self.spec.temperature,
            http_async_client=client,
        )
        return OpenModel(model, client.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        if self.is_openai:
            return {"max_tokens": max_output_tokens}
        # The client renames max_tokens to a newer name, which many compatible servers ignore.
        return {"extra_body": {"max_tokens": max_output_tokens}}

    @override
    def image_bound(self, size: ImageSize | None) -> int:
        return openai_image_tokens(self.spec.model, size)

    @property
    @override
    def structured(self) -> SchemaMethod:
        """Most compatible servers know tools, few know schemas."""
        return self.spec.structured or ("json_schema" if self.is_openai else "tool")

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        asked = self.option_arguments(options)
        arguments = self.call_options(max_output_tokens)
        if "response_format" in asked:
            # As an argument it sends the client down another path, which loses the usage of an
            # answer that the cap cut off.
            body = {"response_format": asked.pop("response_format")}
            arguments["extra_body"] = {**arguments.get("extra_body", {}), **body}
        return {**arguments, **asked}

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)

    @override
    async def probe(self) -> Probe:
        url = f"{self.spec.base_url or DEFAULT_URL}/models"
        found, answer = await probe_models(url, api_key=self.api_key())
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            return found
        there = any(isinstance(row, dict) and row.get("id") == self.spec.model for row in rows)
        return Probe(True, there, "" if there else "the key's account does not list this model")
