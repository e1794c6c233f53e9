"""What a chat model's methods need of their call's configuration, which LangChain keeps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from uuid import uuid4

from langchain_core.callbacks import (
    AsyncCallbackManager,
    BaseCallbackManager,
    CallbackManager,
    Callbacks,
)
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from langgraph.constants import TAG_NOSTREAM
from pydantic import PrivateAttr
from typing_extensions import override

from aegis_graph.routing.hosts.private_runs import (
    is_tracer,
    kept_callbacks,
    untraced,
    untraced_stream,
    untraced_stream_sync,
)

HIDDEN = "hidden_from_streams"
"""Argument by which a host that streams messages is shown none of the chunks."""

THREAD_ID = "thread_id"
"""Argument that names the conversation of the call."""


class ConfiguredChatModel(BaseChatModel):
    """Passes two things on from a call's configuration to the methods that do the work.

    LangChain gives these methods none of it. Inside a graph the context has the rest. A private
    call is not traced.
    """

    _stream_run: BaseRunManager | None = PrivateAttr(default=None)

    @override
    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        if not self.is_private_call(kwargs):
            return super().generate(messages, stop, callbacks, **kwargs)
        with self._untraced(callbacks) as (model, own):
            return super(ConfiguredChatModel, model).generate(messages, stop, own, **kwargs)

    @override
    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        if not self.is_private_call(kwargs):
            return await super().agenerate(messages, stop, callbacks, **kwargs)
        with self._untraced(callbacks) as (model, own):
            return await super(ConfiguredChatModel, model).agenerate(messages, stop, own, **kwargs)

    @abstractmethod
    def is_private_call(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call with these arguments is private."""

    @contextmanager
    def _untraced(self, callbacks: Callbacks) -> Iterator[tuple[Self, Callbacks]]:
        """This model, and the callbacks of a call, without tracers."""
        with untraced({"callbacks": callbacks}) as own:
            yield self._without_own_tracers(), own.get("callbacks")

    def _of_stream(
        self, callbacks: BaseCallbackManager, config: RunnableConfig | None
    ) -> tuple[Self, RunnableConfig | None]:
        """This model for one stream: LangChain does not tell ``_stream`` the run that it is."""
        if not any(map(is_tracer, callbacks.handlers)):
            return self, config
        run_id = (config or {}).get("run_id") or uuid4()
        model = self.model_copy()
        model._stream_run = BaseRunManager(
            run_id=run_id, handlers=callbacks.handlers, inheritable_handlers=[]
        )
        return model, {**(config or {}), "callbacks": callbacks, "run_id": run_id}

    def _without_own_tracers(self) -> Self:
        if not self.callbacks:
            return self
        return self.model_copy(update={"callbacks": kept_callbacks(self.callbacks)})

    @override
    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **_with_call_config(config, kwargs))

    @override
    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return await super().ainvoke(input, config, stop=stop, **_with_call_config(config, kwargs))

    @override
    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        passed = {"stop": stop, **_with_call_config(config, kwargs)}
        if not self.is_private_call(kwargs):
            around = ensure_config(config).get("callbacks")
            callbacks = CallbackManager.configure(around, self.callbacks)
            model, own = self._of_stream(callbacks, config)
            return super(ConfiguredChatModel, model).stream(input, own, **passed)
        stream = super(ConfiguredChatModel, self._without_own_tracers()).stream
        return untraced_stream_sync(lambda own: stream(input, own, **passed), config)

    @override
    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        passed = {"stop": stop, **_with_call_config(config, kwargs)}
        if not self.is_private_call(kwargs):
            around = ensure_config(config).get("callbacks")
            callbacks = AsyncCallbackManager.configure(around, self.callbacks)
            model, own = self._of_stream(callbacks, config)
            return super(ConfiguredChatModel, model).astream(input, own, **passed)
        stream = super(ConfiguredChatModel, self._without_own_tracers()).astream
        return untraced_stream(lambda own: stream(input, own, **passed), config)


def _with_call_config(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    if not config:
        return kwargs
    passed: dict[str, Any] = {}
    if TAG_NOSTREAM in (config.get("tags") or ()):
        passed[HIDDEN] = True
    thread_id = (config.get("configurable") or {}).get("thread_id")
    if thread_id is not None:
        passed[THREAD_ID] = str(thread_id)
    return {**kwargs, **passed}
