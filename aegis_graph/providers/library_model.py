"""The base of the kinds that open any model of a library, named ``provider:model``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator
from typing_extensions import override

from aegis_graph.config.addresses import is_private_address
from aegis_graph.config.specs import URL_PATTERN, ProviderSpec, SchemaMethod
from aegis_graph.errors import ProviderError
from aegis_graph.providers.base import Provider, ProviderOptions
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.location import UNKNOWN_ADDRESS
from aegis_graph.providers.setting_checks import refuse_secrets
from aegis_graph.providers.unsupported_parameter import RESPONSE_FORMAT

_PRICE_BOOK_NAMES: Mapping[str, str] = {
    "azure_openai": "azure",
    "azureopenai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "vertexai": "google",
    "xai": "x-ai",
}
"""The price book's name for a library's, where the two differ."""

OWN_ADDRESSES: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://localhost:11434",
    "openai": "https://api.openai.com/v1",
}
"""Where calls of a row without an address go, whatever variable the library would read it from."""

OWN_KEYS: Mapping[str, str] = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
"""The variables with the keys for those addresses. For every other one the row names it."""

NO_KEY = "none"
"""What libraries are given where there is no key, so that they look for none; it is not sent."""


_OPENAI_LIKE = frozenset({"llamacpp", "llamafile", "lmstudio", "openai", "vllm"})
"""Libraries' names for servers that speak OpenAI's protocol, schemas included."""


class LibraryModelOptions(ProviderOptions):
    """Settings of a kind with a library that serves many providers."""

    arguments: Annotated[Mapping[str, Any], AfterValidator(refuse_secrets)] = {}
    """Further arguments of the model's constructor, as the library names them."""


class LibraryModelProvider(Provider):
    """A provider with a row that names its model as ``provider:model``."""

    adaptable = frozenset({RESPONSE_FORMAT})

    @property
    def library_name(self) -> str:
        """The library's name for the provider; empty where the row leaves it to the library."""
        before, colon, _ = self.spec.model.partition(":")
        return before if colon else ""

    @property
    def model_name(self) -> str:
        """The model without its provider."""
        before, _, after = self.spec.model.partition(":")
        return after or before

    @property
    def own_address(self) -> str | None:
        """What the row says, or the library's address, where one is known."""
        given = self.options.model_dump()["arguments"].values()
        urls = [one for one in given if isinstance(one, str) and re.match(URL_PATTERN, one)]
        if self.spec.base_url or not urls:
            return self.spec.base_url or OWN_ADDRESSES.get(self.library_name)
        return next((url for url in urls if not is_private_address(url)), urls[0])

    @property
    @override
    def address(self) -> str:
        return self.own_address or UNKNOWN_ADDRESS

    @property
    @override
    def key_env(self) -> str | None:
        """The library's own variable counts for the library's own address only."""
        is_own = self.own_address == OWN_ADDRESSES.get(self.library_name)
        return self.spec.api_key_env or (OWN_KEYS.get(self.library_name) if is_own else None)

    @property
    @override
    def structured(self) -> SchemaMethod | None:
        """As the kind ``openai``, where the library speaks its protocol."""
        if self.library_name not in _OPENAI_LIKE or RESPONSE_FORMAT in self.refused:
            return super().structured
        return self.spec.structured or "json_schema"

    @override
    def priced_spec(self) -> ProviderSpec:
        """The book knows the two names apart."""
        kind = _PRICE_BOOK_NAMES.get(self.library_name, self.library_name)
        return self.spec.model_copy(update={"kind": kind, "model": self.model_name})

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)
