"""What a chat model's methods need of their call's configuration, which LangChain keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from typing_extensions import override

HIDDEN = "hidden_from_streams"
"""Argument by which a host that streams messages is shown none of the chunks."""

THREAD_ID = "thread_id"
"""Argument that names the conversation of the call."""


class ConfiguredChatModel(BaseChatModel):
    """Passes two things on from a call's configuration to the methods that do the work.

    LangChain gives these methods none of it. Inside a graph the context has the rest.
    """

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
        return super().stream(input, config, stop=stop, **_with_call_config(config, kwargs))

    @override
    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        return super().astream(input, config, stop=stop, **_with_call_config(config, kwargs))


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
