"""A stream of messages is shown a call as LangChain shows it, and its first piece at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.errors import AegisError
from tests.flow.routing.test_direct_call import ENDED, USAGE, InThread, OnLoop, Reporting, router_of
from tests.flow.routing.watched_hosts import without_chance
from tests.flow.support import ask

CONFIG: dict[str, Any] = {"tags": ["ours"], "metadata": {"of": "the caller"}}


class Described(OnLoop):
    """Has tags and metadata of its own."""

    def __init__(self, **more: Any) -> None:
        super().__init__(tags=["fast"], metadata={"of": "the model", "size": 7}, **more)


class Whole(OnLoop):
    """Gives its answer whole, whoever listens."""

    disable_streaming: Any = True


class Broken(OnLoop):
    """Fails in the middle of its answer."""

    @override
    async def _astream(self, *args: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content="It is "))
        raise ConnectionError


class AtOnce(OnLoop):
    """Has all of its pieces there at once, and notes when each is taken."""

    events: list[str]

    @override
    async def _astream(self, *args: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in ("", "It ", "is ", "Paris."):
            self.events.append(f"made {word}")
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        end = AIMessageChunk(content="", usage_metadata=USAGE, response_metadata=ENDED)
        yield ChatGenerationChunk(message=end)


def host_of(router: Any, node: str) -> Any:
    """The router in a graph of an application's, in one of the ways in which it gets there."""
    if node == "alone":
        return router
    model = RoutedChatModel(router=router)

    async def ask_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def ask_router(state: MessagesState) -> dict[str, Any]:
        config: Any = {"tags": [TAG_NOSTREAM]} if node == "hidden" else None
        return {"messages": (await router.ainvoke(state, config))["messages"]}

    nodes = {"node": router, "model": ask_model, "called": ask_router, "hidden": ask_router}
    builder: Any = StateGraph(MessagesState)
    return builder.add_node("llm", nodes[node]).add_edge(START, "llm").compile()


async def shown(graph: Any, config: Any, **more: Any) -> list[Any]:
    """What a stream's reader is shown, an error at its end."""
    found = []
    try:
        async for part in graph.astream(ask(), config, **more):
            found.append(without_chance(part))
    except AegisError as error:
        found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("kind", [OnLoop, InThread, Reporting, Described, Whole, Broken])
@pytest.mark.parametrize("node", ["alone", "node", "model", "called", "hidden"])
@pytest.mark.parametrize("subgraphs", [True, False])
async def test_a_stream_shows_what_langchain_shows(
    kind: type[OnLoop], node: str, subgraphs: bool, db: Path
) -> None:
    more = {"stream_mode": ["messages", "updates", "custom"], "subgraphs": subgraphs}
    # A callback that does nothing has LangChain make the call.
    heard = {**CONFIG, "callbacks": [BaseCallbackHandler()]}
    directly, by_langchain = [
        await shown(host_of(router_of(kind(), db.with_name(name)), node), config, **more)
        for name, config in (("direct.db", CONFIG), ("heard.db", heard))
    ]
    assert directly == by_langchain
    assert directly


@pytest.mark.parametrize("node", ["alone", "node", "model", "called"])
async def test_the_first_piece_is_read_before_the_next_is_made(node: str, db: Path) -> None:
    model = AtOnce(events=[])
    stream = host_of(router_of(model, db), node).astream(
        ask(), stream_mode="messages", subgraphs=True
    )
    async for _, (piece, _) in stream:
        model.events.append(f"read {piece.text}")
    assert model.events.index("read It ") < model.events.index("made is ")


async def test_a_chat_models_first_piece_is_read_before_the_next_is_made(db: Path) -> None:
    model = AtOnce(events=[])
    async for piece in RoutedChatModel(router=router_of(model, db)).astream("Which city?"):
        model.events.append(f"read {piece.text}")
    assert model.events.index("read It ") < model.events.index("made is ")
