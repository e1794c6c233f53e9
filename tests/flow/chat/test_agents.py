"""Agents over the router: their provider may change between any two steps."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelCallLimitMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_supervisor import create_supervisor
from pydantic import BaseModel
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.support import (
    assert_sound,
    dust_settles,
    made,
    make_config,
    open_router,
    provider,
)

MODELS = {
    "ollama": ("ollama", "llama3.2:3b"),
    "dashscope": ("dashscope", "qwen-plus"),
    "openai": ("openai", "gpt-4o"),
    "langchain": ("openai", "gpt-4o-by-langchain"),
    "anyllm": ("openai", "gpt-4o-by-anyllm"),
}
"""The protocol and the model by which each kind reaches the loopback server."""


@tool
def capital_of(country: str) -> str:
    """The capital of a country."""
    return {"France": "Paris"}[country]


@tool
def people_of(city: str) -> int:
    """How many people live in a city."""
    return {"Paris": 2_100_000}[city]


PLAIN = re.compile(r"[A-Za-z0-9_-]{1,40}")
TOOLS = [capital_of, people_of]
FIRST = Reply(
    "Let me see.",
    reasoning="A country has a capital.",
    tool_calls=({"name": "capital_of", "args": {"country": "France"}, "id": "call|1|of_A!" * 5},),
)
SECOND = Reply("", tool_calls=({"name": "people_of", "args": {"city": "Paris"}},))
DONE = Reply("Paris has 2.1 million people.")


def row(server: LoopbackServer, kind: str, **more: Any) -> Any:
    protocol, model = MODELS[kind]
    named = model if kind == protocol else f"openai:{model}"
    return {**provider(server, protocol), "name": kind, "kind": kind, "model": named, **more}


def script(server: LoopbackServer, kind: str, *steps: Any) -> None:
    protocol, model = MODELS[kind]
    server.script(protocol, *steps, model=model)  # type: ignore[arg-type]


def routed(server: LoopbackServer, db: Path, *kinds: str, **fields: Any) -> RoutedChatModel:
    chain = [row(server, kind) for kind in kinds]
    return RoutedChatModel(router=open_router(make_config(server, db, providers=chain)), **fields)


def strict(step: Reply) -> Any:
    """Answers as a provider that refuses a history which is not in its own form."""
    return lambda call: step if not faults_of(call) else Fault.status(400)


def faults_of(call: Received) -> list[str]:
    body = {**call.body, **call.body.get("input", {})}
    faults, open_ids = [], []
    for message in body["messages"]:
        if {"reasoning_content", "thinking"} & {key for key in message if message[key]}:
            faults.append("foreign thoughts")
        for made_call in message.get("tool_calls") or ():
            identifier = made_call.get("id")
            open_ids.append(identifier)
            # Ollama's protocol knows no identifiers; the others want short plain ones.
            if call.protocol != "ollama" and not PLAIN.fullmatch(identifier or ""):
                faults.append(f"identifier {identifier!r}")
        if message["role"] == "tool":
            if call.protocol == "dashscope" and not isinstance(message["content"], str):
                faults.append("content of a tool")
            if call.protocol != "ollama" and message["tool_call_id"] not in open_ids:
                faults.append("a result without a call")
    return faults


@pytest.mark.parametrize(("first", "second"), tuple(itertools.permutations(MODELS, 2)))
async def test_an_agent_goes_on_when_its_provider_fails_between_call_and_result(
    server: LoopbackServer, db: Path, first: str, second: str
) -> None:
    script(server, first, FIRST, Fault.status(404))
    script(server, second, strict(SECOND), strict(DONE))
    agent = create_agent(routed(server, db, first, second), TOOLS)

    result = await agent.ainvoke({"messages": [HumanMessage("How many live in France's capital?")]})

    assert [faults_of(call) for call in server.calls() if call.model == MODELS[second][1]] == [
        []
    ] * 2
    said = [one for one in result["messages"] if isinstance(one, AIMessage)]
    assert [one.response_metadata["provider"] for one in said] == [first, second, second]
    assert [one.content for one in result["messages"] if isinstance(one, ToolMessage)] == [
        "Paris",
        "2100000",
    ]
    assert said[-1].text == DONE.text
    assert [record["provider"] for record in said[1].response_metadata["attempts"]] == [
        first,
        second,
    ]
    assert_sound(db)


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
@pytest.mark.parametrize("kind", MODELS)
async def test_an_agent_answers_in_a_schema(
    server: LoopbackServer, db: Path, kind: str, strategy: Any
) -> None:
    class City(BaseModel):
        name: str
        people: int

    paris: dict[str, Any] = {"name": "Paris", "people": 2_100_000}
    as_tool = Reply("", tool_calls=({"name": "City", "args": paris},))
    in_words = strategy is ProviderStrategy and kind == "ollama"
    script(server, kind, SECOND, Reply(json.dumps(paris)) if in_words else as_tool)
    agent = create_agent(routed(server, db, kind), TOOLS, response_format=strategy(City))
    result = await agent.ainvoke({"messages": [HumanMessage("Tell me of Paris.")]})
    assert result["structured_response"] == City(**paris)
    assert_sound(db)


async def test_middleware_sees_and_limits_the_calls(server: LoopbackServer, db: Path) -> None:
    seen: list[str] = []

    class Watch(AgentMiddleware[Any, Any]):
        @override
        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            response = await handler(request)
            seen.append(response.result[-1].response_metadata["provider"])
            return response

    script(server, "ollama", SECOND, SECOND)
    limit = ModelCallLimitMiddleware(run_limit=2, exit_behavior="end")
    agent = create_agent(routed(server, db, "ollama"), TOOLS, middleware=[Watch(), limit])
    result = await agent.ainvoke({"messages": [HumanMessage("How many?")]})
    assert seen == ["ollama", "ollama"]
    assert "limit" in result["messages"][-1].text
    assert len(made(db)) == 2


async def test_each_call_of_an_agent_stands_alone_also_under_a_checkpointer(
    server: LoopbackServer, db: Path
) -> None:
    script(server, "ollama", SECOND, DONE, DONE)
    agent = create_agent(routed(server, db, "ollama"), TOOLS, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    for text in ("How many live in Paris?", "And again?"):
        await agent.ainvoke({"messages": [HumanMessage(text)]}, thread)
    asked = [[one.get("content", "") for one in call.body["messages"]] for call in server.calls()]
    assert asked[0] == ["How many live in Paris?"]
    assert asked[1] == ["How many live in Paris?", "", "2100000"]
    assert asked[2] == [*asked[1], DONE.text, "And again?"]
    assert [one["thread_id"] for one in made(db)] == ["t"] * 3


def test_an_agent_works_for_sync_callers(server: LoopbackServer, db: Path) -> None:
    script(server, "openai", SECOND, DONE)
    agent = create_agent(routed(server, db, "openai"), TOOLS)
    result = agent.invoke({"messages": [HumanMessage("How many?")]})
    assert result["messages"][-1].text == DONE.text
    assert_sound(db)


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_a_host_streams_every_token_once_and_says_whose_it_is(
    server: LoopbackServer, db: Path, subgraphs: bool
) -> None:
    script(server, "openai", Fault.stream_error(Reply("Perhaps it is Rome."), after_chunks=2))
    script(server, "dashscope", DONE)
    agent = create_agent(routed(server, db, "openai", "dashscope"), TOOLS)
    shown: dict[tuple[int, str], str] = {}
    order: list[Any] = []
    async for part in agent.astream(
        {"messages": [HumanMessage("How many?")]},
        stream_mode=["messages", "custom"],
        subgraphs=subgraphs,
    ):
        told: Any = part
        mode, data = told[-2:]
        if mode == "custom":
            order.append(data["event"])
            continue
        message, metadata = data
        assert isinstance(message, AIMessageChunk)
        who = (metadata["attempt"], metadata["provider"])
        shown[who] = shown.get(who, "") + message.text
        assert metadata["langgraph_node"] == "model"
        if not order or order[-1] != who:
            order.append(who)
    assert shown == {(1, "openai"): "Perhaps it ", (2, "dashscope"): DONE.text}
    tokens: list[Any] = [(1, "openai"), (2, "dashscope")]
    events = ["attempt_started", tokens[0], "attempt_discarded", "attempt_started", tokens[1]]
    # Without subgraphs LangGraph passes no events of a subgraph on.
    assert order == (events if subgraphs else tokens)
    await dust_settles(db)
    assert_sound(db)


async def test_events_of_an_agent_come_once(server: LoopbackServer, db: Path) -> None:
    script(server, "ollama", DONE)
    agent = create_agent(routed(server, db, "ollama"), TOOLS)
    events = [
        event
        async for event in agent.astream_events(
            {"messages": [HumanMessage("How many?")]}, version="v2"
        )
    ]
    spoken = [one["data"]["chunk"] for one in events if one["event"] == "on_chat_model_stream"]
    assert "".join(chunk.text for chunk in spoken) == DONE.text
    (end,) = [one["data"]["output"] for one in events if one["event"] == "on_chat_model_end"]
    assert end.text == DONE.text


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")  # the supervisor's own use
async def test_a_supervisor_hands_work_to_its_agents(server: LoopbackServer, db: Path) -> None:
    hand_over = Reply("", tool_calls=({"name": "transfer_to_counter", "args": {}},))
    script(server, "openai", hand_over, SECOND, Fault.status(404))
    script(server, "dashscope", strict(DONE), strict(Reply("It is done.")))
    model = routed(server, db, "openai", "dashscope")
    counter = create_agent(model, [people_of], name="counter")
    graph = create_supervisor([counter], model=model).compile()
    result = await graph.ainvoke({"messages": [HumanMessage("How many live in Paris?")]})
    assert result["messages"][-1].text == "It is done."
    assert DONE.text in [one.text for one in result["messages"]]
    assert_sound(db)
