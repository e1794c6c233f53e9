"""``RoutedChatModel``: the router as a chat model, for whatever takes one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, ensure_config
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.protocol import PregelProtocol
from pydantic import ConfigDict, Field, PrivateAttr, field_validator
from typing_extensions import override

from aegis_graph.chat.call_arguments import request_from, tool_choice_from, tools_from
from aegis_graph.chat.call_config import HIDDEN, THREAD_ID
from aegis_graph.chat.chunks import ChunkConverter, RouterResult, chat_result, whole_chunk
from aegis_graph.chat.description import DescribedChatModel
from aegis_graph.chat.output_schema import answer_schema
from aegis_graph.chat.streaming import has_streaming_callback, stream_events, stream_events_sync
from aegis_graph.chat.structured_answers import StructuredAnswers
from aegis_graph.request.options import MAX_SEED
from aegis_graph.routing.handle import RouterHandle
from aegis_graph.routing.hosts.private_runs import asks_privately
from aegis_graph.routing.observer import RunObserver, StreamEvent, with_observer
from aegis_graph.types import Sensitivity, Task


class RoutedChatModel(DescribedChatModel):
    """The router as a LangChain chat model, with budgets, fallback and a record of every attempt.

    Goes wherever a chat model goes: agents, chains, other packages. The answer's
    ``response_metadata`` names its provider and its cost: ``provider``, ``model``, ``cost_usd``,
    ``cost_basis``, ``route_id``, ``attempt``, ``attempts`` and ``skipped``. Inside a graph the
    router runs as a subgraph of the calling node.

    ``task``, ``sensitivity``, ``user_id``, ``max_output_tokens``, ``request_tags`` and what steers
    the sampling may also be given for one call, as arguments of ``invoke`` or ``bind``. A provider
    that cannot be given one of these is skipped with a reason that names it.

    Example:
        >>> from aegis_graph import RouterConfig, RoutedChatModel, create_router
        >>> model = RoutedChatModel(router=create_router(RouterConfig()), task="answer")
        >>> answer = model.invoke("What is the limit?")  # doctest: +SKIP
        >>> answer.response_metadata["provider"]         # doctest: +SKIP
        'ollama'
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    router: PregelProtocol[Any, Any, Any, Any] = Field(repr=False, exclude=True)
    """From ``create_router``, or a ``RouterHandle``. Its own checkpointer is left out."""
    task: Task | None = None
    """The configuration's when absent; so is the level of privacy."""
    sensitivity: Sensitivity | None = None
    user_id: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, alias="max_tokens")
    run_id: str | None = None
    max_cost_usd: str | None = None
    """What all requests of a ``run_id`` may cost together, as decimal text."""
    request_tags: dict[str, str] | None = None
    """The request's ``tags``, which budgets and reports count it by; ``tags`` are LangChain's own,
    words for its traces."""
    temperature: float | None = Field(default=None, ge=0, lt=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    reasoning_effort: str | None = Field(default=None, pattern=r"^[a-z]{1,20}$")
    stop: list[str] | None = None
    streaming: bool = False
    """Whether callbacks get each chunk even of an answer that the caller asks for whole."""
    on_interrupt: Literal["raise", "restart"] = "raise"
    """What happens when a provider dies after the first words of a stream. The stream raises
    ``StreamInterruptedError``, or it goes on with a chunk that says ``attempt_discarded`` and the
    next provider's answer from its beginning."""

    _find_problem: Callable[[Any], str | None] | None = PrivateAttr(default=None)
    _hidden: bool = PrivateAttr(default=False)

    @field_validator("router")
    @classmethod
    def _without_memory(
        cls, router: PregelProtocol[Any, Any, Any, Any]
    ) -> PregelProtocol[Any, Any, Any, Any]:
        # With a checkpointer of its own it would remember each conversation, and ask it again.
        if isinstance(router, RouterHandle):
            return router.without_memory()
        if isinstance(router, CompiledStateGraph) and router.checkpointer not in (None, False):
            return router.copy({"checkpointer": None})
        return router

    def __init__(self, **fields: Any) -> None:
        # An answer from LangChain's global cache has no row, and no regard for the sensitivity.
        super().__init__(cache=fields.pop("cache", False), **fields)
        self._hidden = TAG_NOSTREAM in (self.tags or ())
        # Hosts are shown the attempts' own pieces instead: see ``RunObserver.callbacks``.
        self.tags = [*(self.tags or []), TAG_NOSTREAM]

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to whichever provider answers.

        Args:
            tools: What ``convert_to_openai_tool`` takes.
            tool_choice: ``auto``, ``none``, ``any`` or ``required``, or a tool's name.
            strict: Whether the arguments must fit a tool's schema, where a provider can say so.
            **kwargs: More arguments for each call.

        Raises:
            InvalidRequestError: No tool has that name.
        """
        rows = tools_from(tools, strict=strict)
        choice = tool_choice_from(tool_choice, rows)
        return self.bind(tools=rows, **({"tool_choice": choice} if choice else {}), **kwargs)

    @override
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["function_calling", "json_mode", "json_schema"] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Have answers in a schema.

        An answer that does not fit is a failed attempt: it is recorded and paid for, the next
        provider is asked, and the error at the end carries what was wrong with each. JSON that is
        slightly broken is repaired first.

        Args:
            schema: A pydantic model, a ``TypedDict`` or a JSON Schema of an object.
            include_raw: Whether to return ``{"raw": message, "parsed": object,
                "parsing_error": None}``.
            method: How to get it; what suits each provider when absent.
            strict: Whether OpenAI's grammar must keep to the schema to the letter.
            **kwargs: More arguments for each call, such as ``tools``.

        Raises:
            InvalidRequestError: It is no sound schema of an object.
        """
        wanted = answer_schema(schema, strict=strict)
        # A copy: the model itself goes on to answer without a schema.
        model = self.model_copy()
        model._find_problem = wanted.problem
        bound = model.bind(
            response_schema=wanted.json_schema,
            schema_method="tool" if method == "function_calling" else method,
            strict=strict,
            ls_structured_output_format={
                "kwargs": {"method": method or "by provider"},
                "schema": convert_to_openai_tool(wanted.json_schema),
            },
            **kwargs,
        )
        return StructuredAnswers.of(bound, wanted.read_with_raw if include_raw else wanted.read)

    @override
    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # Not because a callback is watching: LangChain would join the chunks, and with them those
        # of attempts that broke off. Callbacks get theirs in ``_generate`` instead.
        return bool(kwargs.get("stream")) and not self._streaming_disabled(**kwargs)

    @override
    def _should_use_protocol_streaming(self, **kwargs: Any) -> bool:
        # The protocol joins all chunks of a stream, and so those of an attempt that broke off.
        return self.on_interrupt == "raise" and super()._should_use_protocol_streaming(**kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = request_from(self, messages, stop, kwargs)
        if not has_streaming_callback(run_manager) and not self.streaming:
            return chat_result(await self._ask(request, self._observer(kwargs, run_manager)))
        chunks = ChunkConverter()
        ask, observer = partial(self._ask, request), self._observer(kwargs, run_manager)
        async with aclosing(stream_events(ask, observer)) as events:
            async for item in events:
                if not isinstance(item, StreamEvent):
                    return chat_result(item)
                chunk = chunks.of_event(item)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
        raise AssertionError("the router's output ends every stream of events")

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = request_from(self, messages, stop, kwargs)
        if not has_streaming_callback(run_manager) and not self.streaming:
            return chat_result(self._ask_sync(request, self._observer(kwargs, run_manager)))
        chunks = ChunkConverter()
        ask, observer = partial(self._ask_sync, request), self._observer(kwargs, run_manager)
        with closing(stream_events_sync(ask, observer)) as events:
            for item in events:
                if not isinstance(item, StreamEvent):
                    return chat_result(item)
                chunk = chunks.of_event(item)
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
        raise AssertionError("the router's output ends every stream of events")

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = request_from(self, messages, stop, kwargs)
        if "response_schema" in request["options"]:
            # Nothing of it is worth showing before it is known to fit.
            yield whole_chunk(await self._ask(request, self._observer(kwargs, run_manager)))
            return
        chunks = ChunkConverter()
        ends = self.on_interrupt == "raise"
        observer = self._observer(kwargs, run_manager, ends_on_interrupt=ends)
        async with aclosing(stream_events(partial(self._ask, request), observer)) as events:
            async for item in events:
                yield chunks.of(item)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = request_from(self, messages, stop, kwargs)
        if "response_schema" in request["options"]:
            yield whole_chunk(self._ask_sync(request, self._observer(kwargs, run_manager)))
            return
        chunks = ChunkConverter()
        ends = self.on_interrupt == "raise"
        observer = self._observer(kwargs, run_manager, ends_on_interrupt=ends)
        with closing(stream_events_sync(partial(self._ask_sync, request), observer)) as events:
            for item in events:
                yield chunks.of(item)

    @override
    def is_private_call(self, arguments: Mapping[str, Any]) -> bool:
        return asks_privately(self.router, arguments.get("sensitivity") or self.sensitivity)

    def _observer(
        self,
        kwargs: Mapping[str, Any],
        run: BaseRunManager | None,
        *,
        ends_on_interrupt: bool = False,
    ) -> RunObserver:
        return RunObserver(
            has_own_run=True,
            run=run or self._stream_run,
            ends_on_interrupt=ends_on_interrupt,
            hidden=self._hidden or bool(kwargs.get(HIDDEN)),
            thread_id=kwargs.get(THREAD_ID),
            find_problem=self._find_problem,
            metadata=dict(ensure_config().get("metadata") or {}),
        )

    async def _ask(self, request: dict[str, Any], observer: RunObserver) -> RouterResult:
        result = await self.router.ainvoke(request, with_observer(observer))
        return cast("RouterResult", result)

    def _ask_sync(self, request: dict[str, Any], observer: RunObserver) -> RouterResult:
        return cast("RouterResult", self.router.invoke(request, with_observer(observer)))
