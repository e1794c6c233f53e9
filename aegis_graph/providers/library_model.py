"""The base of the kinds that open any model of a library, named ``provider:model``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator
from typing_extensions import override

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ProviderError
from aegis_graph.providers.base import Provider, ProviderOptions
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.setting_checks import refuse_secrets

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


class LibraryModelOptions(ProviderOptions):
    """Settings of a kind with a library that serves many providers."""

    arguments: Annotated[Mapping[str, Any], AfterValidator(refuse_secrets)] = {}
    """Further arguments of the model's constructor, as the library names them."""


class LibraryModelProvider(Provider):
    """A provider with a row that names its model as ``provider:model``."""

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

    @override
    def priced_spec(self) -> ProviderSpec:
        """The book knows the two names apart."""
        kind = _PRICE_BOOK_NAMES.get(self.library_name, self.library_name)
        return self.spec.model_copy(update={"kind": kind, "model": self.model_name})

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)
