"""Beside an instrumentation of LangChain's that makes spans too, each token is counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.outputs import LLMResult
from opentelemetry import context
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, make_config, open_router, provider
from tests.flow.telemetry.otel_support import attributes, sdk, spans

PARIS = Reply("It is Paris.", input_tokens=10, output_tokens=3)


class Instrumentation(BaseCallbackHandler):
    """As OpenInference's: it adds itself to every manager, and is silent where that is asked."""

    # What tells such handlers apart is the package that they come from.
    __module__ = "openinference.instrumentation.langchain"

    def __init__(self) -> None:
        self.runs: set[Any] = set()
        self.tokens = 0

    @override
    def on_chat_model_start(self, *args: Any, run_id: Any, **more: Any) -> None:
        if not context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY):
            self.runs.add(run_id)

    @override
    def on_llm_end(self, response: LLMResult, *, run_id: Any, **more: Any) -> None:
        if run_id in self.runs:
            usage = response.generations[0][0].message.usage_metadata  # type: ignore[union-attr]
            self.tokens += usage["total_tokens"]


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Instrumentation:
    sdk().exporter.clear()
    handler, begin = Instrumentation(), BaseCallbackManager.__init__

    def init(manager: BaseCallbackManager, *args: Any, **more: Any) -> None:
        begin(manager, *args, **more)
        if handler not in manager.inheritable_handlers:
            manager.add_handler(handler, True)

    monkeypatch.setattr(BaseCallbackManager, "__init__", init)
    return handler


def ask_router(router: Any) -> None:
    router.invoke(ask())


def ask_model(router: Any) -> None:
    RoutedChatModel(router=router).invoke("Which city?")


@pytest.mark.parametrize("way", [ask_router, ask_model])
def test_tokens_stand_in_one_place(
    server: LoopbackServer, db: Path, other: Instrumentation, way: Any
) -> None:
    server.always("openai", PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    way(router)
    [call] = spans()["chat gpt-4o"]
    found = attributes(call)
    assert other.tokens == 13
    assert found["aegis.usage.input_tokens"] == 10
    assert [key for key in found if key.startswith("gen_ai.usage.")] == []


def test_a_private_request_is_counted_by_us_alone(
    server: LoopbackServer, db: Path, other: Instrumentation
) -> None:
    server.always("ollama", PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    RoutedChatModel(router=router, sensitivity="pii").invoke("Which city?")
    [call] = spans()["chat llama3.2:3b"]
    assert other.tokens == 0
    assert attributes(call)["gen_ai.usage.input_tokens"] == 10
