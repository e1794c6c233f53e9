"""Servers say what an answer took in more places than OpenAI does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.testing import LoopbackServer, RawReply
from aegis_graph.testing.loopback.replies import EVENT_STREAM
from tests.flow.support import made, make_config, open_router, provider

COUNTS = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
PLACES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "in the choice": ({}, {"usage": COUNTS}),
    "below x_groq": ({"x_groq": {"id": "r", "usage": COUNTS}}, {}),
    "null, and in the choice": ({"usage": None}, {"usage": COUNTS}),
}
"""What the last part of an answer has beside its choice, and in it."""


def whole(beside: Mapping[str, Any], inside: Mapping[str, Any]) -> RawReply:
    message = {"role": "assistant", "content": "It is Paris."}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **inside}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return RawReply(body=json.dumps({**head, "choices": [choice], **beside}).encode())


def streamed(beside: Mapping[str, Any], inside: Mapping[str, Any]) -> RawReply:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    word = {"index": 0, "delta": {"content": "It is Paris."}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop", **inside}
    events = [{**head, "choices": [word]}, {**head, "choices": [end], **beside}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return RawReply(headers=EVENT_STREAM, body=body.encode())


@pytest.mark.parametrize("place", PLACES)
async def test_a_usage_is_found_where_a_server_puts_it(
    server: LoopbackServer, db: Path, place: str
) -> None:
    server.script("openai", whole(*PLACES[place]), streamed(*PLACES[place]))
    config = make_config(server, db, providers=[provider(server, "openai")])
    model = RoutedChatModel(router=open_router(config))

    answer = await model.ainvoke("Which city?")
    pieces = [piece.text async for piece in model.astream("Which city?")]

    assert answer.text == "".join(pieces) == "It is Paris."
    known = [(row["cost_basis"], row["input_tokens"], row["output_tokens"]) for row in made(db)]
    assert known == [("reported", 11, 7)] * 2
