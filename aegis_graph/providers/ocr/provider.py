"""The provider kind ``ocr``: text recognition on this machine, for when no model can look."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError, ProviderError
from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.local import InProcessProvider
from aegis_graph.providers.ocr.chat_model import MODEL_NAME, ChatOcr
from aegis_graph.providers.ocr.engine import missing_package
from aegis_graph.request.images import ImageSize


class OcrProvider(InProcessProvider):
    """Answers requests that have images with the text in them, so that a chain ends somewhere."""

    model_name = MODEL_NAME
    activity = "text recognition"
    fetches_images = False

    def __init__(self, spec: ProviderSpec, **more: Any) -> None:
        super().__init__(spec, **more)
        # One for all event loops: its models take 200 MB.
        self._model = ChatOcr()
        # Looked up once, here: looking into a folder would hold up the loop of a request.
        self._missing = missing_package()

    @override
    def missing_package(self) -> str | None:
        """The line that installs the engine, where it or its models are missing."""
        return self._missing

    @override
    def load(self) -> None:
        """Load the engine, which takes half a second."""
        self._model.load()

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        """The model; there is nothing to connect to."""
        return OpenModel(self._model, nothing_to_close)

    @override
    def translate(self, error: Exception) -> ProviderError:
        """What keeps the engine closed says itself what to do; the rest is a fault in here."""
        if isinstance(error, ConfigError):
            return ProviderError(str(error))
        return super().translate(error)

    @override
    def image_bound(self, size: ImageSize | None) -> int:
        """Nothing: it is free."""
        return 0
