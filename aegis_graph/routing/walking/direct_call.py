"""A model's answer where nothing hears of the run, without what LangChain does for callbacks.

``ainvoke`` describes the call for callbacks, looks for these in five places, makes the call in a
task of its own, and asks every callback about every piece. What the model itself does is all below
that: its cache, its limit of requests, its client. This begins there. LangGraph's handlers of
streams of messages need none of it, and are told here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from typing_extensions import override

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.wrapped_functions import home_of
from aegis_graph.routing.hosts.langchain_internals import MessageStreamHandler, normalize_messages
from aegis_graph.routing.stream_recorder import StreamRecorder

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_TURNS = 6
"""How often the event loop goes round while the first piece is handed on; LangGraph needs four."""

_CHAT_MODELS = "langchain_core.language_models.chat_models"


def hears_itself(model: BaseChatModel) -> bool:
    """Whether a model, or what has changed LangChain's classes, hears of a call all the same."""
    kind = type(model)
    # A package that watches models puts functions of its own in the place of these.
    untouched = home_of(kind.ainvoke) == home_of(kind.agenerate) == _CHAT_MODELS
    return not untouched or bool(model.callbacks) or model.verbose


def streams_alone(
    model: BaseChatModel, config: RunnableConfig, arguments: dict[str, Any]
) -> AsyncCallbackManager | None:
    """The callbacks of a call, or ``None`` where any of them is no stream of messages.

    Args:
        model: Is called.
        config: With which it is called.
        arguments: Those of the call.
    """
    whole = ensure_config(config)
    described: dict[str, Any] = {**model._get_ls_params_with_defaults(**arguments)}
    # As LangChain does it, which also finds what the environment and the context switch on.
    manager = AsyncCallbackManager.configure(
        whole["callbacks"],
        inheritable_tags=whole["tags"],
        local_tags=model.tags,
        inheritable_metadata={**whole["metadata"], **described},
        local_metadata=model.metadata,
    )
    are_streams = all(type(one) is MessageStreamHandler for one in manager.handlers)
    return manager if are_streams else None


class ModelRun(AsyncCallbackManagerForLLMRun):
    """The run of a call whose pieces go to streams of messages and to the attempt's recorder.

    Args:
        run_id: After which the answer is named.
        recorder: Is told of the answer's pieces.
        streams: Is shown them, see ``streams_alone``.
    """

    def __init__(
        self, run_id: UUID, recorder: StreamRecorder, streams: AsyncCallbackManager
    ) -> None:
        super().__init__(
            run_id=run_id,
            handlers=streams.handlers,
            inheritable_handlers=[],
            parent_run_id=streams.parent_run_id,
            tags=streams.tags,
            metadata=streams.metadata,
        )
        self._streams = cast("list[MessageStreamHandler]", streams.handlers)
        self._recorder = recorder
        self._is_awaited = bool(self._streams) or recorder.passes_on

    def begin(self) -> None:
        """Say that the call begins."""
        for stream in self._streams:
            stream.on_chat_model_start(
                {},
                [],
                run_id=self.run_id,
                parent_run_id=self.parent_run_id,
                tags=self.tags,
                metadata=self.metadata,
            )

    def end(self, result: ChatResult) -> None:
        """Say what it gave."""
        for stream in self._streams:
            whole = LLMResult(generations=[result.generations], llm_output=result.llm_output)  # type: ignore[list-item]
            stream.on_llm_end(whole, run_id=self.run_id)

    def fail(self, error: Exception) -> None:
        """Say that it gave nothing."""
        for stream in self._streams:
            stream.on_llm_error(error, run_id=self.run_id)

    @override
    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **more: Any) -> None:
        for stream in self._streams:
            stream.on_llm_new_token(token, chunk=chunk, run_id=self.run_id)
        self._recorder.on_llm_new_token(token, chunk=chunk, run_id=self.run_id)
        if self._is_awaited and self._recorder.has_content:
            self._is_awaited = False
            # What a provider sent at once is read without a pause: the first piece would reach its
            # reader behind all of it.
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    @override
    async def on_stream_event(self, event: Any, **more: Any) -> None:
        self._recorder.on_stream_event(event)

    @override
    def get_sync(self) -> CallbackManagerForLLMRun:
        # A model without an asynchronous client reports its pieces from a thread.
        handlers: list[BaseCallbackHandler] = [*self.handlers, self._recorder]
        return CallbackManagerForLLMRun(
            run_id=self.run_id,
            handlers=handlers,
            inheritable_handlers=[],
            parent_run_id=self.parent_run_id,
            tags=self.tags,
            metadata=self.metadata,
        )


async def direct_answer(
    model: BaseChatModel, messages: list[BaseMessage], arguments: dict[str, Any], run: ModelRun
) -> AIMessage:
    """A model's answer, as its ``ainvoke`` gives it.

    Args:
        model: Nothing of its own hears of calls.
        messages: What is asked.
        arguments: Those of the call.
        run: The call's.

    Raises:
        Exception: Whatever the model raises.
    """
    run.begin()
    try:
        result = await model._agenerate_with_cache(
            normalize_messages(messages), run_manager=run, **arguments
        )
    except Exception as error:
        run.fail(error)
        raise
    run.end(result)
    answer = result.generations[0].message
    if not isinstance(answer, AIMessage):
        raise MalformedAnswerError(f"the model gave a {type(answer).__name__} for an answer")
    return answer
