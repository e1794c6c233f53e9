"""The endpoint, by LangChain's own classes for OpenAI."""

from __future__ import annotations

import httpx2
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from aegis_graph.testing import Reply
from tests.server.served import Served

KEY = SecretStr("none")


class City(BaseModel):
    """A city."""

    name: str
    country: str


@tool
def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sun in {city}"


def chat(served: Served, *, responses: bool) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=served.openai_url,
        api_key=KEY,
        model="auto",
        max_retries=0,
        use_responses_api=responses,
    )


@pytest.mark.parametrize("responses", [False, True])
def test_it_answers_streams_and_parses(served: Served, responses: bool) -> None:
    words, city = Reply("It is in Paris."), Reply('{"name": "Paris", "country": "France"}')
    served.provider.script("openai", words, words, city)
    model = chat(served, responses=responses)
    whole = model.invoke("Where?")
    assert (whole.text, whole.usage_metadata is not None) == ("It is in Paris.", True)
    pieces = [chunk.text for chunk in model.stream("Where?")]
    assert "".join(pieces) == "It is in Paris."
    assert len([piece for piece in pieces if piece]) == 4
    assert model.with_structured_output(City).invoke("?") == City(name="Paris", country="France")


@pytest.mark.parametrize("responses", [False, True])
def test_an_agents_turn_with_a_tool(served: Served, responses: bool) -> None:
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1"}
    served.provider.script("openai", Reply(tool_calls=(call,)), Reply("Sun."))
    model = chat(served, responses=responses).bind_tools([weather])
    said = model.invoke("How is it?")
    (asked,) = said.tool_calls
    assert (asked["name"], asked["args"]) == ("weather", {"city": "Paris"})
    result = ToolMessage(weather.invoke(asked["args"]), tool_call_id=asked["id"])
    assert model.invoke([HumanMessage("How is it?"), said, result]).text == "Sun."


async def test_vectors(served: Served) -> None:
    # Its own client would be closed after the loop of this test.
    async with httpx2.AsyncClient() as client:
        embeddings = OpenAIEmbeddings(
            base_url=served.openai_url,
            api_key=KEY,
            model="vectors",
            http_async_client=client,
            # Without it the client sends numbers of tokens.
            check_embedding_ctx_length=False,
        )
        vectors = await embeddings.aembed_documents(["a hold", "a row"])
        assert [len(vector) for vector in vectors] == [1024, 1024]
        assert await embeddings.aembed_query("a hold") == pytest.approx(vectors[0], abs=1e-6)
