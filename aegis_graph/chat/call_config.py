"""What a chat model's methods are not told of the configuration of their call, and need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM

QUIET = "quiet"
"""Argument that says that no host is to be shown the pieces."""

THREAD = "thread_id"
"""Argument that says which conversation the call belongs to."""


class ConfiguredChatModel(BaseChatModel):
    """Passes two things on from the configuration to the methods that do the work.

    LangChain keeps all of it to itself. Inside a graph the context has the rest.
    """

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """See ``BaseChatModel.invoke``."""
        return super().invoke(input, config, stop=stop, **_told(config, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """See ``BaseChatModel.ainvoke``."""
        return await super().ainvoke(input, config, stop=stop, **_told(config, kwargs))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """See ``BaseChatModel.stream``."""
        return super().stream(input, config, stop=stop, **_told(config, kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """See ``BaseChatModel.astream``."""
        return super().astream(input, config, stop=stop, **_told(config, kwargs))


def _told(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    if not config:
        return kwargs
    told: dict[str, Any] = {}
    if TAG_NOSTREAM in (config.get("tags") or ()):
        told[QUIET] = True
    thread = (config.get("configurable") or {}).get("thread_id")
    if thread is not None:
        told[THREAD] = str(thread)
    return {**kwargs, **told}
