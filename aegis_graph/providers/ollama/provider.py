"""Kind ``ollama``: models on this machine or this network, through langchain-ollama."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from langchain_core.messages import AIMessage
from typing_extensions import override

from aegis_graph.config.specs import SchemaMethod
from aegis_graph.errors import ContextTooLongError, ProviderError, StreamCutError
from aegis_graph.providers.base import OpenModel, Provider, ProviderOptions
from aegis_graph.providers.call_arguments import without_strict
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.http import httpx_transport, no_sync_transport, probe_models
from aegis_graph.providers.model_lists import listed
from aegis_graph.providers.ollama.context import fitting_context, is_cut
from aegis_graph.providers.ollama.options import OllamaOptions
from aegis_graph.providers.ollama.wrong_counts import leave_out_wrong_counts
from aegis_graph.providers.probe import Probe
from aegis_graph.request.options import SAMPLING
from aegis_graph.request.request import Request
from aegis_graph.types import CallOptions

DEFAULT_URL = "http://localhost:11434"

_THINK: Mapping[str, bool | str] = {
    "none": False,
    "low": "low",
    "medium": "medium",
    "high": "high",
}
"""Ollama's word for each effort. Source: https://docs.ollama.com/capabilities/thinking"""


class OllamaProvider(Provider):
    """A model served by Ollama."""

    fetches_images = False
    # The client asks for a stream in either case.
    streams_whole_answers = True
    options_type: ClassVar[type[ProviderOptions]] = OllamaOptions
    sampling = frozenset(SAMPLING)
    # The grammar has no place for a tool call.
    schema_beside_tools = False
    _longest_context = 0

    @cached_property
    def settings(self) -> OllamaOptions:
        """The row's options. A kind of another package may have options of its own instead."""
        return self.options if isinstance(self.options, OllamaOptions) else OllamaOptions()

    @property
    @override
    def takes_default_temperature(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the row does not ask the model to think."""
        return not self.settings.think

    @property
    @override
    def address(self) -> str:
        return self.spec.base_url or DEFAULT_URL

    @override
    def load(self) -> None:
        import httpx_aiohttp  # noqa: F401, PLC0415
        import langchain_ollama  # noqa: F401, PLC0415

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: the client takes longer to import than the whole package.
        from langchain_ollama import ChatOllama  # noqa: PLC0415

        transport = httpx_transport(self.spec, api_key)
        think = self.settings.think
        model = ChatOllama(
            model=self.spec.model,
            base_url=self.address,
            reasoning=self.spec.thinking or None if think is None else think,
            keep_alive=self.settings.keep_alive,
            client_kwargs={"follow_redirects": False, "trust_env": False},
            sync_client_kwargs={"transport": no_sync_transport()},
            async_client_kwargs={"transport": transport},
        )
        leave_out_wrong_counts(model._async_client)
        return OpenModel(model, transport.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        return {"options": {**self._row_sampling, "num_predict": max_output_tokens}}

    @cached_property
    def _row_sampling(self) -> dict[str, Any]:
        temperature = self.spec.temperature
        default = {} if temperature is None else {"temperature": temperature}
        return {**default, **self.settings.sampling()}

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
        if "reasoning_effort" in asked:
            asked["reasoning"] = _THINK[asked.pop("reasoning_effort")]
        sampling = {name: asked.pop(name) for name in ("stop", *SAMPLING) if name in asked}
        # Ollama's protocol has no form for it either.
        asked.pop("parallel_tool_calls", None)
        if sampling:
            arguments["options"] = {**arguments.get("options", {}), **sampling}
        return {**arguments, **asked}

    @override
    def refused_option(self, options: CallOptions) -> str | None:
        """It knows three levels of thinking, and none."""
        effort = options.get("reasoning_effort")
        if effort is not None and effort not in _THINK:
            return f"reasoning_effort {effort!r}"
        return super().refused_option(options)

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
    def make_room(self, arguments: dict[str, Any], request: Request) -> None:
        """Ask for a context that is long enough, unless the row says how long it is.

        It never becomes shorter again, because each change makes the server load the model anew.
        """
        settings = arguments["options"]
        if "num_ctx" in settings:
            return
        cap = settings["num_predict"]
        fitting = fitting_context(request.prompt_tokens, len(request.images), cap)
        self._longest_context = max(self._longest_context, fitting or 0)
        if self._longest_context:
            settings["num_ctx"] = self._longest_context

    @override
    def check_room(self, answer: AIMessage, arguments: Mapping[str, Any], request: Request) -> None:
        seen = answer.response_metadata.get("prompt_eval_count")
        num_ctx = arguments["options"].get("num_ctx")
        if isinstance(seen, int) and is_cut(seen, request.messages, num_ctx):
            raise ContextTooLongError(f"the server read {seen:,} tokens of a longer prompt")

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)

    @override
    def check_complete(self, answer: AIMessage) -> None:
        """Ollama ends a complete answer with ``done``."""
        if not answer.response_metadata.get("done"):
            raise StreamCutError("the answer ended before Ollama said it was done")

    @property
    @override
    def context_length(self) -> int | None:
        """As the options say."""
        return self.settings.num_ctx

    @override
    async def probe(self) -> Probe:
        found, answer = await probe_models(self.spec, f"{self.address}/api/tags")
        rows = listed(answer, "models", name="name")
        if rows is None:
            return found
        there = bool({self.spec.model, f"{self.spec.model}:latest"} & rows.keys())
        detail = "" if there else f"run: ollama pull {self.spec.model}"
        return Probe(True, there, detail, models=tuple(rows))
