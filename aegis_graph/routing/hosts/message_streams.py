"""What a host that streams messages is shown of a request: nothing, or no reasoning.

LangGraph shows them by a handler among a run's callbacks, which the router's calls inherit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from langchain_core.callbacks.base import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.constants import TAG_NOSTREAM
from typing_extensions import TypeIs

from aegis_graph.routing.hosts.langchain_internals import RUNNING_CONFIG, MessageStreamHandler
from aegis_graph.text.reasoning import SpokenStream, spoken_part

_Replace = Callable[[MessageStreamHandler], list[BaseCallbackHandler]]


@contextmanager
def hidden_from_streams() -> Iterator[RunnableConfig]:
    """The running configuration, for calls that no host shows to the readers of its messages.

    The tag alone hides a model's tokens; LangGraph would still show the answer in the output of the
    router's nodes. Inside the block this is also the running configuration, because LangGraph adds
    that one's callbacks to those that it is given.
    """
    with _running(
        _replaced(ensure_config(RunnableConfig(tags=[TAG_NOSTREAM])), _nothing)
    ) as config:
        yield config


@contextmanager
def spoken_in_streams(config: RunnableConfig) -> Iterator[RunnableConfig]:
    """A configuration, for calls whose answers are cut by ``spoken_part``: so are their pieces.

    Inside the block this is also the running configuration, as above.
    """
    if not any(map(_streams, _handlers(config))):
        yield config
        return
    with _running(_replaced(config, _spoken)) as spoken:
        yield spoken


def _handlers(config: RunnableConfig) -> list[BaseCallbackHandler]:
    callbacks = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        return list(callbacks.handlers)
    return list(callbacks or [])


def _replaced(config: RunnableConfig, replace: _Replace) -> RunnableConfig:
    callbacks, handlers = config.get("callbacks"), _handlers(config)
    if not isinstance(callbacks, BaseCallbackManager):
        shown = [replace(one) if _streams(one) else [one] for one in handlers]
        return {**config, "callbacks": [one for some in shown for one in some]}
    callbacks = callbacks.copy()
    for handler in filter(_streams, handlers):
        callbacks.remove_handler(handler)
        for one in replace(handler):
            callbacks.add_handler(one)
    return {**config, "callbacks": callbacks}


@contextmanager
def _running(config: RunnableConfig) -> Iterator[RunnableConfig]:
    token = RUNNING_CONFIG.set(config)
    try:
        yield config
    finally:
        RUNNING_CONFIG.reset(token)


def _streams(handler: BaseCallbackHandler) -> TypeIs[MessageStreamHandler]:
    return isinstance(handler, MessageStreamHandler)


def _nothing(_: MessageStreamHandler) -> list[BaseCallbackHandler]:
    return []


def _spoken(handler: MessageStreamHandler) -> list[BaseCallbackHandler]:
    # A copy shares what it knows of runs and of messages that were shown.
    spoken = copy(handler)
    spoken.stream = _SpokenMessages(handler.stream)
    return [spoken]


class _SpokenMessages:
    """Passes messages on without their reasoning, each as it grows."""

    def __init__(self, stream: Callable[[Any], None]) -> None:
        self._stream = stream
        self._texts: dict[str | None, SpokenStream] = {}

    def __call__(self, shown: tuple[Any, str, tuple[Any, Any]]) -> None:
        namespace, mode, (message, facts) = shown
        if isinstance(message, AIMessage) and isinstance(message.content, str):
            message = message.model_copy(update={"content": self._spoken(message)})
        self._stream((namespace, mode, (message, facts)))

    def _spoken(self, message: AIMessage) -> str:
        text = str(message.content)
        if not isinstance(message, AIMessageChunk):
            return spoken_part(text)
        growing = self._texts.setdefault(message.id, SpokenStream())
        spoken = growing.feed(text)
        if message.chunk_position == "last":
            del self._texts[message.id]
            spoken += growing.end()
        return spoken
