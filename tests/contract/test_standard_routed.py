"""LangChain's own suites for chat models, on the router over every kind of provider.

Not run here, each for its reason: inputs of images, PDF and audio are fetched from the internet by
the suites themselves; recorded cassettes need a real service; the kind ``ocr`` takes nothing but
images. ``timeout`` and ``max_retries`` are parameters of each provider's row, not of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.testing import LoopbackServer
from tests.contract.standard_model import obedient
from tests.flow.support import KINDS, make_config, open_router, provider


class _Routed:
    """The router over one kind, played by the loopback server."""

    rows: Any
    router: Any

    @pytest.fixture(autouse=True)
    def _chain(self, tmp_path: Path) -> Iterator[None]:
        with LoopbackServer() as server:
            for kind in KINDS:
                server.always(kind, obedient)
            chain = [_row(server, row) for row in self.rows]
            self.router = open_router(make_config(server, tmp_path / "costs.db", providers=chain))
            yield

    @property
    def chat_model_class(self) -> type[RoutedChatModel]:
        return RoutedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"router": self.router}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def supports_json_mode(self) -> bool:
        return True


def _row(server: LoopbackServer, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that says everything, a kind with its usual model, or one that opens any model."""
    if "spoken" in row:
        changes = {name: value for name, value in row.items() if name != "spoken"}
        return {**provider(server, row["spoken"]), **changes}
    return dict(row) if "model" in row else provider(server, **row)


class TestUnit(_Routed, ChatModelUnitTests):
    rows = ({"kind": "ollama"},)


class TestOllama(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "ollama"},)


class TestDashScope(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "dashscope"},)


class TestOpenAI(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "openai"},)


class TestOpenAIBySchema(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "openai", "structured": "json_schema"},)


class TestLangChainOpenAI(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "langchain", "spoken": "openai", "model": "openai:gpt-4o"},)


class TestLangChainOpenAIBySchema(_Routed, ChatModelIntegrationTests):
    rows = (
        {
            "kind": "langchain",
            "spoken": "openai",
            "model": "openai:gpt-4o",
            "structured": "json_schema",
        },
    )


class TestLangChainOllama(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "langchain", "spoken": "ollama", "model": "ollama:llama3.2:3b"},)


class TestAnyLLMOpenAI(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "anyllm", "spoken": "openai", "model": "openai:gpt-4o"},)


class TestAnyLLMOpenAIBySchema(_Routed, ChatModelIntegrationTests):
    rows = (
        {
            "kind": "anyllm",
            "spoken": "openai",
            "model": "openai:gpt-4o",
            "structured": "json_schema",
        },
    )


class TestAnyLLMOllama(_Routed, ChatModelIntegrationTests):
    rows = ({"kind": "anyllm", "spoken": "ollama", "model": "ollama:llama3.2:3b"},)


class TestExtractive(_Routed, ChatModelIntegrationTests):
    """It quotes: it has no tools and no schema, so a chain of it alone is not asked for either."""

    rows = (
        {
            "name": "extractive",
            "kind": "extractive",
            "model": "best-sentences",
            "location": "local",
            "price": "free",
        },
    )

    @property
    @override
    def has_tool_calling(self) -> bool:
        return False

    @property
    @override
    def has_structured_output(self) -> bool:
        return False

    @property
    @override
    def supports_json_mode(self) -> bool:
        return False
