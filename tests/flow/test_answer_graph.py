"""Retrieve, ask the router, cite: with a stand-in router that asks the real embedded model."""

from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from aegis_graph.components.answer import AnswerInput, answer_messages, create_answer_graph
from aegis_graph.components.documents import read_passages
from aegis_graph.components.retrieval import PassageIndex
from aegis_graph.errors import InvalidRequestError
from aegis_graph.providers.chat_extractive import MARKER, NOTHING_FOUND, ChatExtractive
from aegis_graph.state import RouterInput, RouterOutput, RouterState
from aegis_graph.text.passages import Passage

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
Graph = CompiledStateGraph[Any, Any, Any, Any]


class Router:
    """A graph with the router's keys; it notes what it was asked with."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def attempt(self, state: RouterState) -> dict[str, Any]:
        self.requests.append({key: value for key, value in state.items() if key != "messages"})
        answer = ChatExtractive().invoke(state["messages"])
        return {
            "messages": [answer],
            "attempts": [],
            "skipped": [],
            "route_id": f"r{len(self.requests)}",
        }

    def compile(self) -> Graph:
        builder = StateGraph(RouterState, input_schema=RouterInput, output_schema=RouterOutput)
        builder.add_node("attempt", self.attempt)
        builder.add_edge(START, "attempt")
        builder.add_edge("attempt", END)
        return builder.compile(name="router")


@pytest.fixture(scope="module")
def index() -> PassageIndex:
    return PassageIndex(read_passages([DOCUMENTS]))


async def test_question_is_answered_with_citations(index: PassageIndex) -> None:
    router = Router()
    graph = create_answer_graph(router.compile(), index)

    result = await graph.ainvoke({"question": "How long is a cooldown?"})

    assert result["answer"] == (
        "After 3 failures in a row a provider is left alone for a cooldown of 30 seconds. [1]"
        f"\n\n{MARKER}"
    )
    [citation] = result["citations"]
    passage = result["passages"][0]
    assert citation["source"] == passage["source"] == str(DOCUMENTS / "routing.md")
    assert citation["quote"] in passage["text"]
    assert (result["route_id"], result["attempts"], result["skipped"]) == ("r1", [], [])
    assert [message.type for message in result["messages"]] == ["system", "human", "ai"]
    assert router.requests == [{"task": "answer"}]


async def test_choices_reach_the_router_and_end_with_the_request(index: PassageIndex) -> None:
    router = Router()
    graph = create_answer_graph(router.compile(), index, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    choices = {"sensitivity": "public", "user_id": "ada", "max_output_tokens": 50}

    await graph.ainvoke(cast("AnswerInput", {"question": "What is a hold?", **choices}), config)
    second = await graph.ainvoke({"question": "Wie viele Stufen gibt es?"}, config)

    assert router.requests == [{"task": "answer", **choices}, {"task": "answer"}]
    assert [message.type for message in second["messages"]] == ["system", "human", "ai"]
    assert "fünf Stufen" in second["answer"]
    assert "hold" not in second["answer"]


async def test_model_is_asked_even_where_nothing_was_found(index: PassageIndex) -> None:
    router = Router()
    result = await create_answer_graph(router.compile(), index).ainvoke({"question": "Giraffes?"})
    assert result["answer"].startswith(NOTHING_FOUND)
    assert (result["passages"], result["citations"]) == ([], [])
    assert len(router.requests) == 1


def test_any_function_retrieves_and_sync_works() -> None:
    def retriever(question: str) -> list[Passage]:
        return [Passage(source=question, text="Grass is green.", page=4)]

    result = create_answer_graph(Router().compile(), retriever).invoke(
        {"question": "Is grass green?"}
    )
    assert result["citations"] == [
        {"n": 1, "source": "Is grass green?, page 4", "quote": "Grass is green."}
    ]


@pytest.mark.parametrize("question", ["", "  \n", None, 7])
async def test_empty_question_is_refused_before_anything_is_asked(
    index: PassageIndex, question: Any
) -> None:
    router = Router()
    with pytest.raises(InvalidRequestError, match="question"):
        await create_answer_graph(router.compile(), index).ainvoke({"question": question})
    assert router.requests == []


async def test_answer_is_streamed_from_the_router(index: PassageIndex) -> None:
    graph = create_answer_graph(Router().compile(), index)
    events = graph.astream(
        {"question": "When do weeks begin?"}, stream_mode="messages", subgraphs=True
    )
    pieces: list[str] = []
    async for event in events:
        _, (chunk, _) = cast("tuple[Any, tuple[BaseMessage, Any]]", event)
        if isinstance(chunk, AIMessageChunk):
            pieces.append(chunk.text)
    assert len(pieces) > 5
    assert "".join(pieces).startswith("Weeks begin on Monday. [1]")


def test_drawing_shows_the_three_nodes(index: PassageIndex) -> None:
    nodes = create_answer_graph(Router().compile(), index).get_graph().nodes
    assert list(nodes) == ["__start__", "retrieve", "llm", "cite", "__end__"]


def test_prompt_says_how_to_answer() -> None:
    system, human = answer_messages("Why?", [Passage(source="a.md", text="Because.")])
    assert isinstance(system, SystemMessage)
    assert "[1]" in system.text
    assert isinstance(human, HumanMessage)
    assert human.text.endswith("</passages>\n\nQuestion: Why?")
