"""A model is called directly where nothing hears of the run, and answers as it does elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typing_extensions import override

from aegis_graph import RouterConfig
from aegis_graph.clock import utc_now
from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.extractive.provider import ExtractiveProvider
from aegis_graph.routing.assembly import assemble, compiled
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.routing.walking.direct_call import ModelRun, direct_answer, hears_itself
from tests.flow.routing.test_speed import counting_ledger
from tests.flow.support import ask

QUESTION: list[BaseMessage] = [HumanMessage("Which city is the capital of France?")]
USAGE = UsageMetadata(input_tokens=3, output_tokens=2, total_tokens=5)
ENDED = {"finish_reason": "stop"}


class OnLoop(BaseChatModel):
    """Answers on the event loop, in pieces where these are asked for."""

    calls: int = 0

    @property
    @override
    def _llm_type(self) -> str:
        return "on-loop"

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Any:
        self.calls += 1
        answer = AIMessage("It is Paris.", usage_metadata=USAGE, response_metadata=ENDED)
        return ChatResult(generations=[ChatGeneration(message=answer)], llm_output={"at": "once"})

    @override
    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Any:
        return self._generate(messages)

    @override
    async def _astream(self, *args: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in ("It is ", "Paris."):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        end = AIMessageChunk(content="", usage_metadata=USAGE, response_metadata=ENDED)
        yield ChatGenerationChunk(message=end)


class InThread(OnLoop):
    """Has no asynchronous client, and reports its pieces from a thread."""

    @override
    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Any:
        for word in ("It is ", "Paris."):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            run_manager.on_llm_new_token(word, chunk=chunk)
        return super()._generate(messages)

    @override
    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Any:
        return await BaseChatModel._agenerate(self, messages, stop, run_manager, **more)


class Reporting(OnLoop):
    """Reports its pieces though the answer is asked for whole."""

    @override
    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Any:
        async for chunk in self._astream():
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
        return self._generate(messages)


class Wrong(OnLoop):
    @override
    async def _agenerate(self, *args: Any, **more: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=HumanMessage("Paris?"))])


class Watched(OnLoop):
    """As a package makes it that watches calls."""

    @override
    async def agenerate(self, *args: Any, **more: Any) -> Any:
        return await super().agenerate(*args, **more)


class Wrapped(OnLoop):
    """As a package makes it that takes over what a function is called."""


async def wrapper(self: OnLoop, *args: Any, **more: Any) -> Any:
    return await OnLoop.ainvoke(self, *args, **more)


setattr(Wrapped, "ainvoke", wraps(OnLoop.ainvoke)(wrapper))  # noqa: B010  as such packages do


class Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.answers: list[str] = []

    @override
    def on_llm_end(self, response: Any, **more: Any) -> None:
        self.answers.append(response.generations[0][0].text)


class ModelProvider(ExtractiveProvider):
    model_to_open: BaseChatModel

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        return OpenModel(self.model_to_open, nothing_to_close)


def router_of(model: BaseChatModel, db: Path) -> Any:
    row = {"name": "one", "kind": "extractive", "model": "best-sentences", "location": "local"}
    config = RouterConfig.model_validate({"providers": [row], "budgets": []})
    chain = [ModelProvider(config.providers[0], source="the test")]
    chain[0].model_to_open = model
    services = SharedServices.of(config, ledger=counting_ledger(db)[0], clock=utc_now)
    return compiled(assemble(chain, services, config), checkpointer=None, name="router")


@pytest.mark.parametrize("kind", [OnLoop, InThread, Reporting])
@pytest.mark.parametrize("arguments", [{}, {"stop": ["."]}, {"stream": True}])
async def test_it_is_the_answer_of_ainvoke(kind: type[OnLoop], arguments: Any) -> None:
    model, run_id = kind(), uuid4()
    direct, heard = StreamRecorder(), StreamRecorder()
    run = ModelRun(run_id, direct, AsyncCallbackManager(handlers=[]))
    answer = await direct_answer(model, QUESTION, arguments, run)
    config: Any = {"callbacks": [heard], "run_id": run_id}
    assert answer == await model.ainvoke(QUESTION, config, **arguments)
    assert direct.text == heard.text
    assert answer.id is not None
    assert str(run_id) in answer.id


async def test_what_is_no_answer_is_refused() -> None:
    run = ModelRun(uuid4(), StreamRecorder(), AsyncCallbackManager(handlers=[]))
    with pytest.raises(MalformedAnswerError, match="HumanMessage"):
        await direct_answer(Wrong(), QUESTION, {}, run)


def test_a_model_with_callbacks_of_its_own_or_another_ainvoke_hears_itself() -> None:
    assert not hears_itself(OnLoop())
    assert hears_itself(OnLoop(callbacks=[Heard()]))
    assert hears_itself(OnLoop(verbose=True))
    assert hears_itself(Watched())
    assert hears_itself(Wrapped())


async def test_callbacks_of_the_model_hear_of_its_calls(db: Path) -> None:
    heard = Heard()
    found = await router_of(OnLoop(callbacks=[heard]), db).ainvoke(ask())
    assert heard.answers == [found["messages"][-1].text] == ["It is Paris."]


async def test_langchains_cache_answers(db: Path) -> None:
    model = OnLoop()
    router = router_of(model, db)
    set_llm_cache(InMemoryCache())
    try:
        found = [await router.ainvoke(ask()) for _ in range(2)]
    finally:
        set_llm_cache(None)
    assert [one["messages"][-1].text for one in found] == 2 * ["It is Paris."]
    assert model.calls == 1


async def test_what_a_caller_of_pieces_raises_is_its_own(db: Path) -> None:
    class GoneError(Exception):
        pass

    def gone(event: object) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        await router_of(OnLoop(), db).ainvoke(ask(), with_observer(RunObserver(on_event=gone)))
