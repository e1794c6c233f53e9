"""The provider kind ``ocr``: text recognition on this machine, for when no model can look."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from aegis_graph.errors import (
    MalformedAnswerError,
    ProviderError,
    StreamCutError,
)
from aegis_graph.images import ImageSize
from aegis_graph.providers.base import OpenModel, Probe, Provider
from aegis_graph.providers.chat_ocr import MODEL_NAME, ChatOcr
from aegis_graph.providers.ocr_engine import missing_package
from aegis_graph.specs import ProviderSpec
from aegis_graph.state import CallOptions


class OcrProvider(Provider):
    """Answers requests that have images with the text in them, so that a chain ends somewhere."""

    fetches_images = False

    def __init__(self, spec: ProviderSpec, **more: Any) -> None:
        super().__init__(spec, **more)
        # One for all event loops: its models take 200 MB.
        self._model = ChatOcr()
        # Looked up once, here: looking into a folder would hold up the loop of a request.
        self._missing = missing_package()

    def missing_package(self) -> str | None:
        """The line that installs the engine, where it or its models are missing."""
        return self._missing

    def load(self) -> None:
        """See ``Provider.load``; half a second."""
        self._model.load()

    def open_model(self, api_key: str | None) -> OpenModel:
        """The model; there is nothing to connect to."""
        return OpenModel(self._model, _nothing_to_close)

    @property
    def takes_tools(self) -> bool:
        """It reads, and calls nothing."""
        return False

    @property
    def structured(self) -> None:
        """It has one form of answer."""
        return

    def option_arguments(self, options: CallOptions) -> dict[str, Any]:
        """There is nothing to ask for."""
        return {}

    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """The cap, which this model counts in words."""
        return {"max_tokens": max_output_tokens}

    def image_bound(self, size: ImageSize | None) -> int:
        """Nothing: it is free."""
        return 0

    def translate(self, error: Exception) -> ProviderError:
        """Any error in here is a fault that asking again does not cure."""
        return MalformedAnswerError(f"text recognition failed: {type(error).__name__}")

    def check_complete(self, answer: AIMessage) -> None:
        """Make sure that the answer came whole.

        Raises:
            StreamCutError: It did not.
        """
        if "finish_reason" not in answer.response_metadata:
            raise StreamCutError("the answer ended without its last piece")

    async def probe(self) -> Probe:
        """Whether it is installed."""
        missing = self.missing_package()
        there = self.spec.model == MODEL_NAME
        detail = "" if there else f"the only model of this kind is {MODEL_NAME!r}"
        return Probe(missing is None, there, f"needs: {missing}" if missing else detail)


async def _nothing_to_close() -> None:
    pass
