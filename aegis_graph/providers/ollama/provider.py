"""Kind ``ollama``: models on this machine or this network, through langchain-ollama."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from typing_extensions import override

from aegis_graph.config.specs import SchemaMethod
from aegis_graph.errors import ProviderError, StreamCutError
from aegis_graph.providers.base import OpenModel, Probe, Provider
from aegis_graph.providers.call_arguments import without_strict
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.http import BearerAuth, aiohttp_transport, probe_models
from aegis_graph.types import CallOptions

DEFAULT_URL = "http://localhost:11434"


class OllamaProvider(Provider):
    """A model served by Ollama."""

    fetches_images = False

    @override
    def load(self) -> None:
        import httpx_aiohttp  # noqa: F401, PLC0415
        import langchain_ollama  # noqa: F401, PLC0415

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: the client takes longer to import than the whole package.
        from langchain_ollama import ChatOllama  # noqa: PLC0415

        transport = aiohttp_transport()
        auth = BearerAuth(api_key) if api_key else None
        model = ChatOllama(
            model=self.spec.model,
            base_url=self.spec.base_url or DEFAULT_URL,
            reasoning=self.spec.thinking or None,
            async_client_kwargs={"transport": transport, "auth": auth},
        )
        return OpenModel(model, transport.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        options: dict[str, Any] = {"num_predict": max_output_tokens}
        if self.spec.temperature is not None:
            options["temperature"] = self.spec.temperature
        return {"options": options}

    @property
    @override
    def structured(self) -> SchemaMethod:
        """The server samples by the schema's grammar."""
        return self.spec.structured or "json_schema"

    @override
    def schema_in_prompt(self, options: CallOptions) -> bool:
        """A grammar does not tell the model what it means."""
        return self.schema_method(options) not in {None, "tool"}

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        """What steers the sampling is a table of its own."""
        asked = self.option_arguments(options)
        arguments = self.call_options(max_output_tokens)
        sampling = {name: asked.pop(name) for name in ("stop", "temperature") if name in asked}
        # Ollama's protocol has no form for it either.
        asked.pop("parallel_tool_calls", None)
        if sampling:
            arguments["options"] = {**arguments.get("options", {}), **sampling}
        return {**arguments, **asked}

    @override
    def tool_choice(self, choice: str, tools: Sequence[Mapping[str, Any]]) -> None:
        """Ollama's protocol has no form for a choice."""
        return

    @override
    def offered_tools(self, options: CallOptions) -> tuple[list[dict[str, Any]], str | None]:
        tools, choice = super().offered_tools(options)
        return without_strict(tools), choice

    @override
    def schema_arguments(self, options: CallOptions) -> dict[str, Any]:
        method = self.schema_method(options)
        if method == "json_mode":
            return {"format": "json"}
        return {"format": options["response_schema"]} if method == "json_schema" else {}

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)

    @override
    def check_complete(self, answer: AIMessage) -> None:
        """Ollama ends a complete answer with ``done``."""
        if not answer.response_metadata.get("done"):
            raise StreamCutError("the answer ended before Ollama said it was done")

    @override
    async def probe(self) -> Probe:
        found, answer = await probe_models(f"{self.spec.base_url or DEFAULT_URL}/api/tags")
        models = answer.get("models") if isinstance(answer, dict) else None
        if not isinstance(models, list):
            return found
        wanted = {self.spec.model, f"{self.spec.model}:latest"}
        there = any(isinstance(row, dict) and row.get("name") in wanted for row in models)
        return Probe(True, there, "" if there else f"run: ollama pull {self.spec.model}")
