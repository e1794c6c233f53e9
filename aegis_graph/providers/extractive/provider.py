"""The embedded provider, kind ``extractive``: no key, no network, no cost, always there."""

from __future__ import annotations

from typing_extensions import override

from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.extractive.chat_model import ChatExtractive
from aegis_graph.providers.extractive.notices import MODEL_NAME
from aegis_graph.providers.local import InProcessProvider


class ExtractiveProvider(InProcessProvider):
    """Answers questions over passages by quoting them, so that a chain always ends somewhere."""

    model_name = MODEL_NAME
    activity = "the embedded provider"

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        """Build the model; there is nothing to connect to."""
        return OpenModel(ChatExtractive(), nothing_to_close)
