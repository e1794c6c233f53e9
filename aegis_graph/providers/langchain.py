"""Kind ``langchain``: any model that LangChain's ``init_chat_model`` opens."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import Field
from typing_extensions import override

from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.call_arguments import OPENAI_SAMPLING
from aegis_graph.providers.http import (
    httpx_transport,
    no_sync_client,
    openai_http_client,
    probe_models,
)
from aegis_graph.providers.library_model import (
    NO_KEY,
    OWN_ADDRESSES,
    OWN_KEYS,
    LibraryModelOptions,
    LibraryModelProvider,
)
from aegis_graph.providers.ollama.options import SAMPLING
from aegis_graph.providers.probe import Probe
from aegis_graph.request.options import SAMPLING as SAMPLING_OPTIONS
from aegis_graph.types import CallOptions

INSTALL = "pip install 'aegis-graph[langchain]'"

_CAPS: Mapping[str, str] = {
    "google_genai": "max_output_tokens",
    "google_vertexai": "max_output_tokens",
    "ollama": "options.num_predict",
}
"""Where the output cap goes in a call, for the integrations that do not call it ``max_tokens``."""

_OLLAMA_TABLE = (*SAMPLING, "stop", "temperature", "tfs_z")
"""Arguments of Ollama's integration that stand in a table of the call."""
_SAMPLING: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"temperature", "top_k", "top_p"}),
    "azure_openai": OPENAI_SAMPLING,
    "ollama": frozenset(SAMPLING_OPTIONS) - {"reasoning_effort"},
    "openai": OPENAI_SAMPLING,
}
"""What a call of each integration takes by these names; of the others only the temperature."""

_CLASSES: Mapping[str, tuple[str, str]] = {
    "azure_openai": ("langchain_openai", "AzureChatOpenAI"),
    "ollama": ("langchain_ollama", "ChatOllama"),
    "openai": ("langchain_openai", "ChatOpenAI"),
}
"""The classes of integrations that this package depends on itself."""


class LangChainOptions(LibraryModelOptions):
    """Settings of the kind ``langchain``."""

    output_cap: str | None = Field(default=None, pattern=r"^\w+(\.\w+)?$")
    """The argument of a call that caps the output; with a dot, a key in a table of one."""


class LangChainProvider(LibraryModelProvider):
    """A model such as ``openai:gpt-4o-mini``, through its LangChain integration.

    Integrations that take a client of the caller's get one for each event loop, which is closed
    with it. The others keep their own, and some of those share it between event loops.
    """

    adaptable = LibraryModelProvider.adaptable | {"max_tokens", "temperature"}
    options_type = LangChainOptions

    @property
    @override
    def sampling(self) -> frozenset[str]:  # type: ignore[override]  # decided by the row
        """As the integration's own; what is not known of one is not sent."""
        return _SAMPLING.get(self.library_name, super().sampling)

    @property
    @override
    def takes_default_temperature(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the refusal of one is understood, and the row's own arguments name none."""
        names = {"temperature", "reasoning", "reasoning_effort", "think"}
        return self.library_name in _CLASSES and not names & self.options.arguments.keys()

    options: LangChainOptions
    _latest: BaseChatModel | None = None

    @override
    def missing_package(self) -> str | None:
        """The line that installs LangChain; the integration's own package is not known here."""
        return None if importlib.util.find_spec("langchain") else INSTALL

    @override
    def load(self) -> None:
        import langchain.chat_models  # noqa: F401, PLC0415

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: the package is an extra.
        from langchain.chat_models import init_chat_model  # noqa: PLC0415

        arguments: dict[str, Any] = {"max_retries": 0, **self.options.arguments}
        arguments |= self._place(api_key)
        if self.spec.temperature is not None:
            arguments["temperature"] = self.spec.temperature
        fields = self._fields(arguments)
        # Where there is such a setting: count streams too, and leave time limits to the attempt.
        wanted = {"stream_usage": True, "stream_chunk_timeout": None}
        arguments = {**{name: wanted[name] for name in wanted if name in fields}, **arguments}
        client = self._own_client(fields, arguments, api_key)
        self._latest = model = init_chat_model(self.spec.model, **arguments)
        if any(base.__name__ == "BaseChatOpenAI" for base in type(model).__mro__):
            # Imported on first use: it imports OpenAI's client, which the others do without.
            from aegis_graph.providers.openai.chat_model import reads_answers  # noqa: PLC0415

            # In place, because only LangChain's own factory knows how to build it.
            theirs: Any = type(model)
            model.__class__ = reads_answers(theirs)
        return OpenModel(model, client.aclose if client is not None else nothing_to_close)

    def _fields(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings that the integration's class has."""
        from langchain.chat_models import init_chat_model  # noqa: PLC0415  loaded by now

        kind: Any
        if self.library_name in _CLASSES:
            module, name = _CLASSES[self.library_name]
            kind = getattr(import_module(module), name)
        else:
            # Of the others only a model tells its class.
            kind = type(init_chat_model(self.spec.model, **arguments))
        fields: Mapping[str, Any] = kind.model_fields
        return fields

    def _place(self, api_key: str | None) -> dict[str, Any]:
        """The address and the key, so that the integration looks for neither."""
        place: dict[str, Any] = {}
        # Where a further argument has the address, it has the integration's own name for it.
        if self.spec.base_url or self.own_address == OWN_ADDRESSES.get(self.library_name):
            place["base_url"] = self.own_address
        if api_key:
            place["api_key"] = api_key
        elif self.library_name in OWN_KEYS or (
            # Amazon's takes a key for a token, and has signatures without one.
            self.spec.base_url and not self.library_name.startswith(("bedrock", "ollama"))
        ):
            place["api_key"] = NO_KEY
        return {name: value for name, value in place.items() if value is not None}

    def _own_client(
        self, fields: Mapping[str, Any], arguments: dict[str, Any], api_key: str | None
    ) -> Any:
        """A client for this event loop alone, where the integration takes one."""
        if "http_async_client" in fields:
            client = arguments["http_async_client"] = openai_http_client(self.spec, api_key)
            arguments["http_client"] = no_sync_client()
            return client
        if "async_client_kwargs" in fields:
            transport = httpx_transport(self.spec, api_key)
            for name, more in (
                ("client_kwargs", {"follow_redirects": False, "trust_env": False}),
                ("async_client_kwargs", {"transport": transport}),
            ):
                arguments[name] = {**arguments.get(name, {}), **more}
            return transport
        return None

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        table, _, name = self._cap.rpartition(".")
        if not table:
            return {name: max_output_tokens}
        return {table: {**self._row_table(table), name: max_output_tokens}}

    def _row_table(self, table: str) -> dict[str, Any]:
        """What the row says of a table: clients drop their own where a call brings one."""
        arguments = self.options.arguments
        own = dict(arguments.get(table) or {})
        if table == "options":
            own |= {name: arguments[name] for name in _OLLAMA_TABLE if name in arguments}
            if self.spec.temperature is not None:
                own["temperature"] = self.spec.temperature
        return own

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        asked, own = self.option_arguments(options), self.call_options(max_output_tokens)
        if "options" in own:
            names = ("stop", *SAMPLING_OPTIONS)
            sampling = {name: asked.pop(name) for name in names if name in asked}
            own["options"] = {**own["options"], **sampling}
        if "response_format" in asked and self.library_name == "openai":
            # As an argument it loses the usage of an answer that the cap cut off.
            body = {"response_format": asked.pop("response_format")}
            own["extra_body"] = {
                **self._row_table("extra_body"),
                **own.get("extra_body", {}),
                **body,
            }
        return {**own, **asked}

    @override
    def option_arguments(self, options: CallOptions) -> dict[str, Any]:
        """Tools go in the integration's own form."""
        asked = super().option_arguments(options)
        tools, choice = self.offered_tools(options)
        if not tools or self._latest is None:
            return asked
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            asked.pop(name, None)
        more: dict[str, Any] = {}
        if "parallel_tool_calls" in options and self.library_name != "ollama":
            more["parallel_tool_calls"] = options["parallel_tool_calls"]
        # LangChain's own word for "one of the tools".
        forced = "any" if choice == "required" else choice
        bound: Any = self._latest.bind_tools(tools, tool_choice=forced, **more)
        return {**asked, **bound.kwargs}

    @override
    async def probe(self) -> Probe:
        """Integrations have no common way to ask for models."""
        if self.spec.base_url is None:
            return Probe(None, None, "LangChain has no free way to ask")
        found, _ = await probe_models(self.spec, self.spec.base_url)
        return Probe(found.reachable, None, "" if found.reachable else found.detail)

    @property
    def _cap(self) -> str:
        if self.options.output_cap:
            return self.options.output_cap
        name = _CAPS.get(self.library_name, "max_tokens")
        if name in self.refused:
            return "max_completion_tokens"
        # The client renames max_tokens to a newer name, which many servers ignore.
        renamed = self.library_name == "openai" and self.spec.base_url is not None
        return f"extra_body.{name}" if renamed else name
