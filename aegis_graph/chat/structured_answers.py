"""A chat model together with the reader of its answers, as ``with_structured_output`` gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Self, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableLambda,
    RunnableSequence,
)
from typing_extensions import override

from aegis_graph.chat.call_config import ConfiguredChatModel
from aegis_graph.routing.hosts.private_runs import untraced, untraced_stream, untraced_stream_sync


class StructuredAnswers(RunnableSequence[Any, Any]):
    """The sequence of the two, which like the model is not traced where a call is private."""

    @classmethod
    def of(cls, model: Runnable[Any, AIMessage], read: Callable[[AIMessage], Any]) -> Self:
        """The sequence of a bound chat model and a function that reads its answers."""
        return cls(first=model, last=RunnableLambda(read))

    def _is_private(self, arguments: Mapping[str, Any]) -> bool:
        binding = cast("RunnableBinding[Any, Any]", self.first)
        model = cast(ConfiguredChatModel, binding.bound)
        return model.is_private_call({**binding.kwargs, **arguments})

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if not self._is_private(kwargs):
            return super().invoke(input, config, **kwargs)
        with untraced(config) as own:
            return super().invoke(input, own, **kwargs)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if not self._is_private(kwargs):
            return await super().ainvoke(input, config, **kwargs)
        with untraced(config) as own:
            return await super().ainvoke(input, own, **kwargs)

    @override
    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        if not self._is_private(kwargs):
            return super().stream(input, config, **kwargs)
        stream = super().stream
        return untraced_stream_sync(lambda own: stream(input, own, **kwargs), config)

    @override
    def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        if not self._is_private(kwargs):
            return super().astream(input, config, **kwargs)
        stream = super().astream
        return untraced_stream(lambda own: stream(input, own, **kwargs), config)
