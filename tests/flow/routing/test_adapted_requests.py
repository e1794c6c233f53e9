"""A server that does not take an argument is asked again without it, and the row remembers it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from aegis_graph import RoutedChatModel
from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.errors import RoutingError
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.support import (
    ask,
    assert_one_row_per_call,
    assert_sound,
    make_config,
    open_router,
    provider,
    rows,
)

PARIS = Reply("No doubt: Paris.")
USES = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
    " 'max_completion_tokens' instead.",
    "max_completion_tokens": "Extra inputs are not permitted: max_completion_tokens",
    "stream_options": "Unrecognized request argument supplied: stream_options",
    "temperature": "Unsupported value: 'temperature' does not support 0.2 with this model.",
}


def refusing(*names: str) -> Any:
    """A server that refuses a request with one of these arguments, and answers the others."""

    def play(call: Received) -> Reply | Fault:
        for name in names:
            if name in call.body:
                return Fault.status(400, error_code="unsupported_parameter", message=USES[name])
        return PARIS

    return play


def router(server: LoopbackServer, db: Path, *, second: bool = False, **row: Any) -> Any:
    chain = [provider(server, "openai", **row)]
    chain += [provider(server, "ollama")] if second else []
    return open_router(make_config(server, db, providers=chain))


@pytest.mark.parametrize(
    ("refused", "options"),
    [
        ("max_tokens", {}),
        ("max_completion_tokens", {"output_cap": "max_completion_tokens"}),
        ("temperature", {}),
    ],
)
async def test_the_other_form_is_tried_once_and_remembered(
    server: LoopbackServer, db: Path, refused: str, options: dict[str, Any]
) -> None:
    server.always("openai", refusing(refused))
    asked = router(server, db, options=options, temperature=0.2, max_retries=0)
    first = await asked.ainvoke(ask(max_output_tokens=77))
    assert [row["status"] for row in first["attempts"]] == ["failed", "answered"]
    assert [row["cost_basis"] for row in rows(db)] == ["none", "reported"]
    second = await asked.ainvoke(ask(max_output_tokens=77))
    assert [row["status"] for row in second["attempts"]] == ["answered"]
    caps = [
        call.body.get("max_tokens", call.body.get("max_completion_tokens"))
        for call in server.calls()
    ]
    assert caps == [77, 77, 77], "the cap is never left out"
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@pytest.mark.parametrize("more", [{}, {"kind": "langchain", "model": "openai:gpt-4o"}])
async def test_a_model_that_takes_no_temperature_answers_a_component_all_the_same(
    server: LoopbackServer, db: Path, more: dict[str, Any]
) -> None:
    server.always("openai", refusing("temperature"))
    asked = open_router(make_config(server, db, providers=[provider(server, "openai") | more]))
    generator = create_answer_generator(asked)
    document = Document("The city is Paris.", metadata={"source": "a.md"})
    for calls in (2, 3):
        result = await generator.ainvoke({"question": "Which city?", "documents": [document]})
        assert (len(server.calls()), result["degraded"]) == (calls, False)
    sent = [call.body.get("temperature") for call in server.calls()]
    assert sent == [0, None, None], "the refusal is remembered"


async def test_the_kind_langchain_knows_the_other_name_as_well(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", refusing("max_tokens"))
    row = provider(server, "openai", model="openai:gpt-4o") | {"kind": "langchain"}
    asked = open_router(make_config(server, db, providers=[row]))
    for calls in (2, 3):
        await asked.ainvoke(ask(max_output_tokens=77))
        assert len(server.calls()) == calls
    assert server.calls()[-1].body["max_completion_tokens"] == 77


async def test_a_stream_of_a_server_that_does_not_know_stream_options(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", refusing("stream_options"))
    model = RoutedChatModel(router=router(server, db))
    for attempts in (2, 3):
        text = "".join([chunk.text async for chunk in model.astream("Which city?")])
        assert text == PARIS.text
        assert len(server.calls()) == attempts
    assert [row["status"] for row in rows(db)] == ["failed", "answered", "answered"]


async def test_a_host_that_streams_messages_meets_the_same(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", refusing("stream_options"))
    parts = router(server, db).astream(ask(), stream_mode="messages")
    assert "".join([part[0].text async for part in parts]) == PARIS.text
    assert [call.streamed for call in server.calls()] == [True, True]


async def test_a_server_that_refuses_both_forms_is_asked_no_third_time(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", refusing("max_tokens", "max_completion_tokens"))
    server.always("ollama", PARIS)
    result = await router(server, db, second=True).ainvoke(ask())
    assert [row["provider"] for row in result["attempts"]] == ["openai", "openai", "ollama"]


async def test_a_refusal_that_names_what_was_not_sent_is_not_repeated_for_ever(
    server: LoopbackServer, db: Path
) -> None:
    always = Fault.status(400, error_code="unsupported_parameter", message=USES["max_tokens"])
    server.always("openai", always)
    with pytest.raises(RoutingError) as error:
        await router(server, db).ainvoke(ask())
    assert len(error.value.attempts) == 2


async def test_requests_that_were_under_way_together_are_all_answered(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", refusing("max_tokens"))
    asked = router(server, db, max_retries=0)
    results = await asyncio.gather(*(asked.ainvoke(ask(f"city {n}?")) for n in range(20)))
    assert {result["messages"][-1].text for result in results} == {PARIS.text}
    assert all(len(result["attempts"]) <= 2 for result in results)
    assert_sound(db)


async def test_a_row_that_says_it_is_not_refused_at_all(server: LoopbackServer, db: Path) -> None:
    server.always("openai", refusing("max_tokens", "stream_options"))
    options = {"output_cap": "max_completion_tokens", "stream_options": False}
    model = RoutedChatModel(router=router(server, db, options=options))
    assert "".join([chunk.text async for chunk in model.astream("Hi")]) == PARIS.text
    assert len(server.calls()) == 1


async def test_a_value_that_is_out_of_range_is_no_matter_of_names(
    server: LoopbackServer, db: Path
) -> None:
    large = Fault.status(400, error_code="invalid_value", message="max_tokens is too large: 5000")
    server.script("openai", large)
    server.always("ollama", PARIS)
    result = await router(server, db, second=True).ainvoke(ask())
    assert [row["provider"] for row in result["attempts"]] == ["openai", "ollama"]
