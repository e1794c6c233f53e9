"""What a caller asks of one answer reaches the provider, or the provider is skipped by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.errors import InvalidRequestError, NoProviderError
from aegis_graph.request.options import SAMPLING
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, make_config, open_router, provider

PARIS = Reply("No doubt: Paris.")
ALL: dict[str, Any] = {
    "temperature": 0.25,
    "top_p": 0.5,
    "top_k": 20,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "reasoning_effort": "low",
}


def options_table(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**body["options"], "reasoning_effort": body.get("think")}


def parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    return dict(body["parameters"])


WIRES: dict[str, tuple[dict[str, Any], Any, set[str]]] = {
    "ollama": ({}, options_table, set()),
    "openai": ({}, dict, set()),
    "dashscope": ({}, parameters, {"frequency_penalty", "reasoning_effort"}),
    "langchain openai": ({"kind": "langchain", "model": "openai:gpt-4o"}, dict, {"top_k"}),
    "langchain ollama": (
        {"kind": "langchain", "model": "ollama:llama3.2:3b"},
        options_table,
        {"reasoning_effort"},
    ),
    "anyllm openai": ({"kind": "anyllm", "model": "openai:gpt-4o"}, dict, {"top_k"}),
    "anyllm ollama": ({"kind": "anyllm", "model": "ollama:llama3.2:3b"}, options_table, {"top_k"}),
}
"""Changes of the row, where the options stand in a body, and which ones the kind cannot take."""


def model_of(
    server: LoopbackServer, db: Path, wire: str, **fields: Any
) -> tuple[RoutedChatModel, Any]:
    protocol: Any = wire.split()[-1]
    server.always(protocol, PARIS)
    row = {**provider(server, protocol), **WIRES[wire][0]}
    return RoutedChatModel(
        router=open_router(make_config(server, db, providers=[row])), **fields
    ), WIRES[wire][1]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["fields", "bound", "call", "stream"])
async def test_options_that_a_provider_takes_are_in_its_request(
    server: LoopbackServer, db: Path, wire: str, how: str
) -> None:
    taken = {name: value for name, value in ALL.items() if name not in WIRES[wire][2]}
    model, read = model_of(server, db, wire, **(taken if how == "fields" else {}))
    if how == "fields":
        await model.ainvoke("Which city?")
    elif how == "bound":
        await model.bind(**taken).ainvoke("Which city?")
    elif how == "call":
        model.invoke("Which city?", **taken)
    else:
        async for _ in model.astream("Which city?", **taken):
            pass
    (call,) = server.calls()
    sent = read(call.body)
    assert {name: sent.get(name) for name in taken} == taken


REFUSED = [(wire, name) for wire in WIRES for name in sorted(WIRES[wire][2])]


@pytest.mark.parametrize(("wire", "name"), REFUSED, ids=[" ".join(row) for row in REFUSED])
async def test_an_option_that_a_provider_cannot_take_skips_it_by_name(
    server: LoopbackServer, db: Path, wire: str, name: str
) -> None:
    model, _ = model_of(server, db, wire)
    with pytest.raises(NoProviderError) as caught:
        await model.ainvoke("Which city?", **{name: ALL[name]})
    (skipped,) = caught.value.skipped
    assert (skipped["code"], skipped["reason"]) == ("option", f"takes no {name}")
    assert not server.calls()


async def test_the_next_provider_that_takes_it_answers(server: LoopbackServer, db: Path) -> None:
    server.script("openai", PARIS)
    chain = [provider(server, kind) for kind in ("dashscope", "openai")]
    router = open_router(make_config(server, db, providers=chain))
    result = await router.ainvoke(ask(options={"reasoning_effort": "high"}))
    assert result["messages"][-1].response_metadata["provider"] == "openai"
    assert [row["reason"] for row in result["skipped"]] == ["takes no reasoning_effort"]
    assert server.calls()[0].body["reasoning_effort"] == "high"


@pytest.mark.parametrize("wire", WIRES)
async def test_a_default_temperature_leaves_no_provider_out(
    server: LoopbackServer, db: Path, wire: str
) -> None:
    model, read = model_of(server, db, wire)
    await model.router.ainvoke(ask(options={"default_temperature": 0.0}))
    (call,) = server.calls()
    # Of any-llm's providers it is not known whether the refusal of one would be understood.
    assert read(call.body).get("temperature") == (None if wire.startswith("anyllm") else 0)


async def test_openais_own_service_takes_no_top_k(server: LoopbackServer, db: Path) -> None:
    row = provider(server, "openai", base_url="https://api.openai.com/v1")
    model = RoutedChatModel(router=open_router(make_config(server, db, providers=[row])))
    with pytest.raises(NoProviderError, match="takes no top_k"):
        await model.ainvoke("Which city?", top_k=5)


async def test_ollama_is_skipped_for_an_effort_that_it_has_no_word_for(
    server: LoopbackServer, db: Path
) -> None:
    model, _ = model_of(server, db, "ollama")
    with pytest.raises(NoProviderError, match="takes no reasoning_effort 'minimal'"):
        await model.ainvoke("Which city?", reasoning_effort="minimal")
    await model.ainvoke("Which city?", reasoning_effort="none")
    assert server.calls()[0].body["think"] is False


async def test_the_embedded_provider_takes_them_all(server: LoopbackServer, db: Path) -> None:
    row = {"name": "last", "kind": "extractive", "model": "best-sentences", "location": "local"}
    model = RoutedChatModel(router=open_router(make_config(server, db, providers=[row])))
    assert (await model.ainvoke("Which city?", **ALL)).text == model.invoke("Which city?").text


@pytest.mark.parametrize("name", ["logit_bias", "foo"])
async def test_an_unknown_option_is_refused_by_name(
    server: LoopbackServer, db: Path, name: str
) -> None:
    model, _ = model_of(server, db, "ollama")
    known = ".*" + ".*".join(sorted(SAMPLING))
    given: dict[str, Any] = {name: 1}
    with pytest.raises(InvalidRequestError, match=f"^{name}: .* it takes{known}"):
        await model.ainvoke("Which city?", **given)
    assert not server.calls()
