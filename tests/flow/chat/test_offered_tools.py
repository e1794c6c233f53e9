"""Tools as applications have them: offered to the model, or given with one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel

from aegis_graph import RoutedChatModel
from aegis_graph.errors import InvalidRequestError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import make_config, open_router


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class City(BaseModel):
    """A city."""

    name: str


Offer = Callable[[RoutedChatModel, Any], Any]
OFFERS: dict[str, Offer] = {
    "bound": lambda model, tools: model.bind_tools(tools).invoke("Which?"),
    "one call": lambda model, tools: model.invoke("Which?", tools=tools),
    "beside a schema": lambda model, tools: model.with_structured_output(City, tools=tools).invoke(
        "Which?"
    ),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize(
    "form", [tool(weather), weather, Weather], ids=["tool", "function", "model"]
)
def test_a_tool_may_come_in_any_form(
    server: LoopbackServer, db: Path, offer: Offer, form: Any
) -> None:
    server.always("ollama", Reply(json.dumps({"name": "Paris"})))

    offer(RoutedChatModel(router=open_router(make_config(server, db))), [form])

    offered = server.calls("ollama")[0].body["tools"]
    assert [row["function"]["name"].casefold() for row in offered] == ["weather"]


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("tools", [[5], [{}], ["weather"], "weather", 5], ids=repr)
def test_what_is_no_tool_is_refused_by_its_place(
    server: LoopbackServer, db: Path, offer: Offer, tools: Any
) -> None:
    model = RoutedChatModel(router=open_router(make_config(server, db)))
    with pytest.raises(InvalidRequestError, match=r"^tools(\[0\])?: "):
        offer(model, tools)
    assert not server.calls()


@pytest.mark.parametrize("function", [None, {}, {"name": None}], ids=repr)
def test_a_choice_among_tools_without_a_name_is_refused(
    server: LoopbackServer, db: Path, function: object
) -> None:
    model = RoutedChatModel(router=open_router(make_config(server, db)))
    with pytest.raises(InvalidRequestError, match="no tool is called 'weather'"):
        model.bind_tools([{"type": "function", "function": function}], tool_choice="weather")
