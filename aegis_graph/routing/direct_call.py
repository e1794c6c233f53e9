"""A model's answer where nothing hears of the run, without what LangChain does for callbacks.

``ainvoke`` describes the call for callbacks, looks for these in five places, and makes the call in
a task of its own. What the model itself does is all below that: its cache, its limit of requests,
its client. This begins there.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from typing_extensions import override

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.routing.langchain_internals import normalize_messages
from aegis_graph.routing.stream_recorder import StreamRecorder

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_CHAT_MODELS = "langchain_core.language_models.chat_models"


def hears_itself(model: BaseChatModel) -> bool:
    """Whether a model, or what has changed LangChain's classes, hears of a call all the same."""
    kind = type(model)
    # A package that watches models puts functions of its own in the place of these.
    untouched = _is_langchains(kind.ainvoke) and _is_langchains(kind.agenerate)
    return not untouched or bool(model.callbacks) or model.verbose


def _is_langchains(function: object) -> bool:
    # Its globals: a wrapper takes over every name of what it wraps, and some its class as well.
    return type(function) is FunctionType and function.__globals__["__name__"] == _CHAT_MODELS


async def direct_answer(
    model: BaseChatModel,
    messages: list[BaseMessage],
    arguments: dict[str, Any],
    *,
    run_id: UUID,
    recorder: StreamRecorder,
) -> AIMessage:
    """A model's answer, as its ``ainvoke`` gives it.

    Args:
        model: Nothing of its own hears of calls.
        messages: What is asked.
        arguments: Those of the call.
        run_id: After which the answer is named.
        recorder: Is told of the answer's pieces.

    Raises:
        Exception: Whatever the model raises.
    """
    run = _UnheardRun(run_id, recorder)
    result = await model._agenerate_with_cache(
        normalize_messages(messages), run_manager=run, **arguments
    )
    answer = result.generations[0].message
    if not isinstance(answer, AIMessage):
        raise MalformedAnswerError(f"the model gave a {type(answer).__name__} for an answer")
    return answer


class _UnheardRun(AsyncCallbackManagerForLLMRun):
    """The run of a call whose pieces go to the attempt's recorder, and nowhere else."""

    def __init__(self, run_id: UUID, recorder: StreamRecorder) -> None:
        super().__init__(run_id=run_id, handlers=[], inheritable_handlers=[])
        self._recorder = recorder

    @override
    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **more: Any) -> None:
        self._recorder.on_llm_new_token(token, chunk=chunk, run_id=self.run_id)

    @override
    async def on_stream_event(self, event: Any, **more: Any) -> None:
        self._recorder.on_stream_event(event)

    @override
    def get_sync(self) -> CallbackManagerForLLMRun:
        # A model without an asynchronous client reports its pieces from a thread.
        return CallbackManagerForLLMRun(
            run_id=self.run_id, handlers=[self._recorder], inheritable_handlers=[]
        )
