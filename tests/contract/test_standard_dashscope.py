"""LangChain's own suites for chat models, on ``ChatDashScope``.

Not run here, each for its reason: inputs of images, PDF and audio are fetched from the internet by
the suites themselves; recorded cassettes need a real service. ``timeout`` and ``max_retries`` are
no parameters: whoever calls bounds the time, and no call is ever sent twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import SecretStr
from typing_extensions import override

from aegis_graph.providers.dashscope.chat_model import ChatDashScope
from aegis_graph.testing import LoopbackServer
from tests.contract.standard_model import obedient


class _Played:
    """The chat model, its service played by the loopback server."""

    base_url: str
    model_name = "qwen-plus"

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with LoopbackServer() as server:
            server.always("dashscope", obedient)
            self.base_url = server.dashscope_url
            yield

    @pytest.fixture
    async def model(self, request: Any) -> AsyncIterator[ChatDashScope]:
        # Whoever opens a model closes it; the suite does not.
        more = getattr(request, "param", None) or {}
        params = {**self.standard_chat_model_params, **self.chat_model_params, **more}
        model = ChatDashScope(**params)
        yield model
        await model.aclose()

    @property
    def chat_model_class(self) -> type[ChatDashScope]:
        return ChatDashScope

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.model_name,
            "api_key": SecretStr("sk-loopback"),
            "base_url": self.base_url,
        }

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def supports_json_mode(self) -> bool:
        return True


NO_ANY = pytest.mark.xfail(
    reason="DashScope cannot force a call to any of several tools", raises=ValueError, strict=True
)


class TestUnit(_Played, ChatModelUnitTests):
    @NO_ANY
    @override
    def test_bind_tool_pydantic(  # house: the suite's own test asserts
        self, model: Any, my_adder_tool: Any
    ) -> None:
        super().test_bind_tool_pydantic(model, my_adder_tool)


class TestText(_Played, ChatModelIntegrationTests):
    @NO_ANY
    @override
    def test_tool_choice(self, model: Any) -> None:  # house: the suite's own test asserts
        super().test_tool_choice(model)


class TestMultimodal(_Played, ChatModelIntegrationTests):
    model_name = "qwen3-vl-30b-a3b-instruct"

    @NO_ANY
    @override
    def test_tool_choice(self, model: Any) -> None:  # house: the suite's own test asserts
        super().test_tool_choice(model)
