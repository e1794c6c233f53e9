"""The embedded provider, kind ``extractive``: no key, no network, no cost, always there."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from aegis_graph.errors import MalformedAnswerError, ProviderError, StreamCutError
from aegis_graph.providers.base import OpenModel, Probe, Provider
from aegis_graph.providers.chat_extractive import MODEL_NAME, ChatExtractive
from aegis_graph.state import CallOptions


class ExtractiveProvider(Provider):
    """Answers questions over passages by quoting them, so that a chain always ends somewhere."""

    def open_model(self, api_key: str | None) -> OpenModel:
        """Build the model; there is nothing to connect to."""
        return OpenModel(ChatExtractive(), _nothing_to_close)

    @property
    def takes_tools(self) -> bool:
        """It calls nothing."""
        return False

    @property
    def structured(self) -> None:
        """It quotes, and knows no other form."""
        return

    def option_arguments(self, options: CallOptions) -> dict[str, Any]:
        """Where to stop; there is nothing else to ask for."""
        return {"stop": options["stop"]} if "stop" in options else {}

    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """The cap, which this model counts in words."""
        return {"max_tokens": max_output_tokens}

    def translate(self, error: Exception) -> ProviderError:
        """Any error in here is a fault that asking again does not cure."""
        return MalformedAnswerError(f"the embedded provider failed: {type(error).__name__}")

    def check_complete(self, answer: AIMessage) -> None:
        """Make sure that the stream came to its last piece, which alone names a reason to end.

        Raises:
            StreamCutError: It did not.
        """
        if "finish_reason" not in answer.response_metadata:
            raise StreamCutError("the answer ended without its last piece")

    async def probe(self) -> Probe:
        """It is part of this package, so it is there."""
        there = self.spec.model == MODEL_NAME
        return Probe(
            reachable=True,
            model_there=there,
            detail="" if there else f"the only model of this kind is {MODEL_NAME!r}",
        )


async def _nothing_to_close() -> None:
    pass
