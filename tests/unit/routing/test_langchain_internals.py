"""The names of LangChain and LangGraph that are not public still do what they are used for."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig, RunnableLambda, ensure_config
from langchain_core.tracers.context import tracing_v2_enabled
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph.routing.hosts.langchain_internals import (
    CALL_KEY,
    CHECKPOINTER_KEY,
    READ_KEY,
    RECURSION_LIMIT,
    RUNNING_CONFIG,
    RUNTIME_KEY,
    SCRATCHPAD_KEY,
    SEND_KEY,
    TASK_ID_KEY,
    MessageStreamHandler,
    StreamingHandler,
    ambient_callbacks,
)

QUESTION: Any = {"messages": [HumanMessage("Which city?")]}


def handlers_of_a_node(stream_mode: Any) -> list[Any]:
    """The handlers that a node's calls get in a graph whose caller streams."""
    found: list[Any] = []

    async def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        found.extend(config["callbacks"].handlers)  # type: ignore[union-attr]
        return {}

    graph = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()

    async def run() -> None:
        async for _ in graph.astream(QUESTION, stream_mode=stream_mode):
            pass

    asyncio.run(run())
    return found


def test_a_graph_that_streams_messages_has_one_handler_for_them() -> None:
    found = handlers_of_a_node("messages")
    assert [type(one) for one in found if isinstance(one, MessageStreamHandler)] == [
        MessageStreamHandler
    ]


def test_a_graph_that_streams_something_else_has_none() -> None:
    assert not any(isinstance(one, MessageStreamHandler) for one in handlers_of_a_node("updates"))


async def test_a_caller_of_events_has_a_handler_that_streams() -> None:
    seen: list[bool] = []

    async def work(text: str, config: RunnableConfig) -> str:
        handlers = config["callbacks"].handlers  # type: ignore[union-attr]
        seen.append(any(isinstance(one, StreamingHandler) for one in handlers))
        return text

    async for _ in RunnableLambda(work).astream_events("a", version="v2"):
        pass
    assert seen == [True]


def test_the_message_handler_streams_as_well() -> None:
    assert all(
        isinstance(one, StreamingHandler)
        for one in handlers_of_a_node("messages")
        if isinstance(one, MessageStreamHandler)
    )


def test_what_is_set_as_the_running_configuration_is_found_by_langchain() -> None:
    token = RUNNING_CONFIG.set(RunnableConfig(tags=["mine"]))
    try:
        assert ensure_config()["tags"] == ["mine"]
    finally:
        RUNNING_CONFIG.reset(token)
    assert ensure_config()["tags"] == []


def usage_counted(*, without_ambient_callbacks: bool) -> dict[str, Any]:
    usage = UsageMetadata(input_tokens=3, output_tokens=1, total_tokens=4)
    answer = AIMessage("Paris", usage_metadata=usage, response_metadata={"model_name": "m"})
    with get_usage_metadata_callback() as counter:
        if without_ambient_callbacks:
            for variable in ambient_callbacks():
                variable.set(None)
        GenericFakeChatModel(messages=iter([answer])).invoke("Which city?")
    return dict(counter.usage_metadata)


def test_without_the_ambient_callbacks_no_usage_is_counted() -> None:
    assert copy_context().run(usage_counted, without_ambient_callbacks=False).keys() == {"m"}
    assert copy_context().run(usage_counted, without_ambient_callbacks=True) == {}


def test_the_tracer_is_one_of_the_ambient_callbacks() -> None:
    with tracing_v2_enabled() as tracer:
        assert tracer in [variable.get() for variable in ambient_callbacks()]


async def test_a_node_can_tell_whether_a_checkpoint_keeps_its_run() -> None:
    found: list[Any] = []

    async def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        found.append(config["configurable"].get(CHECKPOINTER_KEY))
        return {}

    inner = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()
    outer = StateGraph(MessagesState).add_node("n", inner).add_edge(START, "n")
    saver = InMemorySaver()
    await outer.compile().ainvoke(QUESTION)
    thread: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await outer.compile(checkpointer=saver).ainvoke(QUESTION, thread)
    assert found == [None, saver]


async def test_a_node_can_tell_whether_its_graph_streams_subgraphs() -> None:
    found: list[set[str]] = []

    async def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        given = {key for key, value in config["configurable"].items() if value is not None}
        found.append({key for key in given if key.startswith("__pregel_")})
        return {}

    graph = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()
    await graph.ainvoke(QUESTION)
    assert [part async for part in graph.astream(QUESTION, subgraphs=True)]
    plain, streamed = found
    assert plain == {CALL_KEY, READ_KEY, RUNTIME_KEY, SCRATCHPAD_KEY, SEND_KEY, TASK_ID_KEY}
    assert plain < streamed


async def test_a_node_knows_no_limit_of_steps_but_its_callers() -> None:
    found: list[Any] = []

    async def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        found.append(config.get("recursion_limit"))
        return {}

    graph = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()
    await graph.ainvoke(QUESTION)
    await graph.ainvoke(QUESTION, {"recursion_limit": RECURSION_LIMIT - 1})
    assert found == [None, RECURSION_LIMIT - 1]
