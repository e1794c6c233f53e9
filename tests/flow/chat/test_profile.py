"""What LangChain's own helpers ask a chat model about itself: its limits, and counts of tokens."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.tools import tool

from aegis_graph import RoutedChatModel, RouterHandle
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.request import Request
from aegis_graph.request.token_bounds import prompt_bound
from aegis_graph.routing.reservation import bound_of
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import KEYS, drawn, make_config, open_router, provider, rows

PARIS = Reply("Paris it is.", input_tokens=900, output_tokens=4)
LONG = "The history of the city is long. " * 100
"""3,300 bytes, which LangChain takes for 825 tokens."""


def small(server: LoopbackServer, **more: Any) -> dict[str, Any]:
    """A model with room for prompts of 2,048 tokens beside an answer of 1,024."""
    return provider(server, "ollama", options={"num_ctx": 3072}, **more)


def routed(server: LoopbackServer, db: Path, *chain: dict[str, Any], **more: Any) -> Any:
    config = make_config(server, db, providers=chain)
    return RoutedChatModel(router=open_router(config), **more)


def told(server: LoopbackServer) -> list[str]:
    """The whole prompt of each call."""
    return [
        "\n".join(message.get("content", "") for message in call.body["messages"])
        for call in server.calls()
    ]


def test_the_profile_is_what_every_model_of_the_chain_can_do(
    server: LoopbackServer, db: Path
) -> None:
    sees = {"images": True, "max_output_tokens": 500}
    openai = provider(server, "openai", base_url="https://api.openai.com/v1", **sees)
    last = {"name": "last", "kind": "extractive", "model": "best-sentences", "location": "local"}
    assert routed(server, db, openai, last).profile == {
        "text_inputs": True,
        "text_outputs": True,
        "image_inputs": True,
        "image_url_inputs": True,
        "max_output_tokens": 500,
        "max_input_tokens": 128_000 - 500,
        "tool_calling": True,
        "structured_output": True,
        "temperature": True,
    }
    profile = routed(server, db, openai, small(server, images=True, tools=False)).profile
    assert profile["max_input_tokens"] == 2048
    assert (profile["image_inputs"], profile["image_url_inputs"]) == (True, False)
    assert (profile["tool_calling"], profile["structured_output"]) == (False, False)


def test_a_context_that_is_unknown_limits_nothing(server: LoopbackServer, db: Path) -> None:
    elsewhere = provider(server, "openai")
    assert "max_input_tokens" not in routed(server, db, elsewhere).profile
    assert routed(server, db, elsewhere, small(server)).profile["max_input_tokens"] == 2048
    own = routed(server, db, elsewhere, profile={"max_input_tokens": 7})
    assert own.profile == {"max_input_tokens": 7}


def test_the_answers_cap_leaves_more_room_where_it_is_smaller(
    server: LoopbackServer, db: Path
) -> None:
    model = routed(server, db, small(server), max_tokens=72)
    assert (model.profile["max_input_tokens"], model.profile["max_output_tokens"]) == (3000, 72)
    assert model.model_copy(update={"max_output_tokens": 1072}).profile["max_input_tokens"] == 2000


def test_a_chain_of_no_model_has_no_profile(server: LoopbackServer, db: Path) -> None:
    row = {"name": "last", "kind": "extractive", "model": "best-sentences", "location": "local"}
    assert routed(server, db, row).profile is None


def test_the_profile_follows_a_handles_chain(server: LoopbackServer, db: Path) -> None:
    handle = RouterHandle(make_config(server, db, providers=[small(server)]), environ=KEYS)
    model = RoutedChatModel(router=handle)
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 2048
    other = provider(server, "ollama", options={"num_ctx": 9216})
    handle.reload(make_config(server, db, providers=[other]))
    assert model.profile["max_input_tokens"] == 8192


async def test_an_agent_summarizes_at_a_fraction_of_the_smallest_context(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", PARIS, Reply("They spoke of history."), Reply("Lyon, then."))
    model = routed(server, db, small(server))
    shorten = SummarizationMiddleware(model, trigger=("fraction", 0.8), keep=("messages", 1))
    agent = create_agent(model, tools=[], middleware=[shorten])
    first = await agent.ainvoke({"messages": [HumanMessage(LONG)]})
    assert len(server.calls()) == 1, "below the fraction nothing is summarized"
    second = await agent.ainvoke({"messages": [*first["messages"], HumanMessage(LONG)]})
    _, summary, last = told(server)
    assert "history of the city" in summary
    assert "They spoke of history." in last
    assert "Paris it is." not in last, "the summary stands in place of what was said"
    assert second["messages"][-1].text == "Lyon, then."
    assert len(rows(db)) == 3, "a summary is a request like any other"


async def test_a_fraction_of_an_unknown_context_is_refused_by_langchain(
    server: LoopbackServer, db: Path
) -> None:
    model = routed(server, db, provider(server, "openai"))
    with pytest.raises(ValueError, match="profile"):
        SummarizationMiddleware(model, trigger=("fraction", 0.8))


@tool
def lookup(city: str) -> str:
    """Look a city up."""
    return city


async def test_context_editing_counts_by_the_model(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", PARIS)
    edit = ContextEditingMiddleware(
        edits=[ClearToolUsesEdit(trigger=3000, keep=0)], token_count_method="model"
    )
    agent = create_agent(routed(server, db, small(server)), tools=[lookup], middleware=[edit])
    call = {"name": "lookup", "args": {"city": "Paris"}, "id": "c1"}
    asked: Any = [
        HumanMessage("Which city?"),
        AIMessage("", tool_calls=[{**call, "type": "tool_call"}]),
        ToolMessage(LONG, tool_call_id="c1"),
    ]
    await agent.ainvoke({"messages": asked})
    assert "[cleared]" in told(server)[0]


def test_messages_are_trimmed_to_an_upper_bound_of_their_tokens(
    server: LoopbackServer, db: Path
) -> None:
    model = routed(server, db, small(server))
    talk = [SystemMessage("Be brief."), HumanMessage(LONG), AIMessage("Yes."), HumanMessage("So?")]
    kept = trim_messages(
        talk, max_tokens=500, token_counter=model, include_system=True, start_on="human"
    )
    assert kept == [talk[0], talk[3]]
    assert model.get_num_tokens_from_messages(talk) == prompt_bound(talk)


def test_a_count_needs_no_vocabulary(server: LoopbackServer, db: Path) -> None:
    model = routed(server, db, small(server))
    assert model.get_num_tokens("Zürich") == 7
    with pytest.raises(InvalidRequestError, match=r"^get_token_ids: each provider has tokens of"):
        model.get_token_ids("Zürich")
    own = routed(server, db, small(server), custom_get_token_ids=lambda text: [1] * 3)
    assert (own.get_num_tokens("Zürich"), own.get_token_ids("Zürich")) == (3, [1, 1, 1])


def test_images_and_tools_count_as_they_are_reserved_for(server: LoopbackServer, db: Path) -> None:
    sees = [provider(server, kind, images=True) for kind in ("openai", "dashscope")]
    model = routed(server, db, *sees)
    data = base64.b64encode(drawn()).decode()
    image = {"type": "image", "base64": data, "mime_type": "image/png"}
    message = HumanMessage([{"type": "text", "text": "What is it?"}, image])
    request = {"messages": [message]}
    bounds = [
        bound_of(one, Request.from_state(request, {})).input_tokens
        for one in model.router.builder.providers
    ]
    assert model.get_num_tokens_from_messages([message]) == max(bounds) > prompt_bound([message])
    more = model.get_num_tokens_from_messages([message], tools=[lookup])
    assert more > max(bounds) + len("Look a city up.")
