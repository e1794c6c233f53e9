"""Kind ``anyllm``: Mozilla's any-llm and its providers."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from typing_extensions import override

from aegis_graph.errors import BadRequestError, ModelAccessError, ProviderError
from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.call_arguments import OPENAI_SAMPLING
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.http import (
    PROBE_TIMEOUT_S,
    httpx_client,
    httpx_transport,
    openai_http_client,
)
from aegis_graph.providers.library_model import (
    NO_KEY,
    LibraryModelOptions,
    LibraryModelProvider,
)
from aegis_graph.providers.probe import Probe
from aegis_graph.types import CallOptions

INSTALL = "pip install 'aegis-graph[anyllm]'"

_NOT_SENT: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"seed", "presence_penalty", "frequency_penalty"}),
    # Its effort is sent as ``high`` whatever it was.
    "mistral": frozenset({"reasoning_effort", "seed"}),
}
"""What any-llm's providers would send under a name that their client has not, or as another."""

Close = Callable[[], Awaitable[None]]


class AnyLLMProvider(LibraryModelProvider):
    """A model such as ``mistral:mistral-small-latest``, through any-llm.

    The client is built once for each event loop. any-llm's providers over OpenAI's protocol and
    its Ollama get a transport that holds above a hundred calls in flight; the others keep theirs.
    The key is the one that ``api_key_env`` names: any-llm is not left to look for one.
    """

    streams_whole_answers = True
    options_type = LibraryModelOptions
    options: LibraryModelOptions

    @property
    @override
    def sampling(self) -> frozenset[str]:  # type: ignore[override]  # decided by the row
        """What any-llm has a name for and its provider sends as it was given."""
        return OPENAI_SAMPLING - _NOT_SENT.get(self.library_name, frozenset())

    @override
    def missing_package(self) -> str | None:
        """The line that installs any-llm; the provider's own package is not known here."""
        return None if importlib.util.find_spec("any_llm") else INSTALL

    @override
    def load(self) -> None:
        import any_llm  # noqa: PLC0415

        import aegis_graph.providers.anyllm.chat_model  # noqa: F401, PLC0415

        any_llm.AnyLLM.get_provider_class(self.library_name)

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: it imports OpenAI's client.
        from aegis_graph.providers.anyllm.chat_model import ChatAnyLLM  # noqa: PLC0415

        client, close = self._client(api_key)
        model = ChatAnyLLM(
            client,
            model=self.model_name,
            provider=self.library_name,
            temperature=self.spec.temperature,
        )
        return OpenModel(model, close)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """Any-llm knows each provider's own name for the cap."""
        return {"extra_body": {"max_tokens": max_output_tokens}}

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        asked, own = self.option_arguments(options), self.call_options(max_output_tokens)
        if "response_format" in asked:
            # As an argument it sends the client down another path, which any-llm does not have.
            own["extra_body"]["response_format"] = asked.pop("response_format")
        return {**own, **asked}

    @override
    def translate(self, error: Exception) -> ProviderError:
        """The answer's own status and body count; any-llm's classes are guesses from the text."""
        from any_llm import exceptions as theirs  # noqa: PLC0415  loaded with the model already

        if isinstance(error, theirs.UnsupportedProviderError | theirs.MissingApiKeyError):
            return ModelAccessError(f"any-llm refuses it: {type(error).__name__}")
        if isinstance(error, theirs.UnsupportedParameterError | NotImplementedError):
            # Found before anything was sent.
            return BadRequestError(f"any-llm cannot send it: {type(error).__name__}")
        return client_error(error)

    @override
    async def probe(self) -> Probe:
        try:
            await asyncio.to_thread(self.load)
            client, close = self._client(self.api_key())
        except Exception as error:  # noqa: BLE001  not lost: it is what the probe found out
            return Probe(False, None, str(self.translate(error)))
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                found = {model.id for model in await client.alist_models()}
        except Exception as error:  # noqa: BLE001  not lost: it is what the probe found out
            meaning = self.translate(error)
            return Probe(meaning.status is not None, None, str(meaning))
        finally:
            await close()
        there = self.model_name in found
        return Probe(True, there, "" if there else "the provider does not list this model")

    def _client(self, api_key: str | None) -> tuple[Any, Close]:
        """A client of any-llm, and how to close its connections."""
        # Imported on first use: the package is an extra.
        from any_llm import AnyLLM  # noqa: PLC0415
        from any_llm.providers.openai.base import BaseOpenAIProvider  # noqa: PLC0415

        theirs = AnyLLM.get_provider_class(self.library_name)
        arguments = dict(self.options.arguments)
        close: Close = nothing_to_close
        if theirs.MAX_RETRIES_SUPPORT != "unsupported":
            arguments.setdefault("max_retries", 0)
        if issubclass(theirs, BaseOpenAIProvider):
            arguments["http_client"] = openai_http_client(self.spec, api_key)
            close = arguments["http_client"].aclose
        elif self.library_name == "anthropic":
            arguments["http_client"] = httpx_client(self.spec, api_key)
            close = arguments["http_client"].aclose
        elif self.library_name == "ollama":
            arguments |= {
                "transport": httpx_transport(self.spec, api_key),
                "follow_redirects": False,
            }
            close = arguments["transport"].aclose
        client = AnyLLM.create(
            self.library_name,
            api_key=api_key or NO_KEY,
            api_base=self.own_address or theirs.API_BASE,
            unified_exceptions=True,
            **arguments,
        )
        return client, close
