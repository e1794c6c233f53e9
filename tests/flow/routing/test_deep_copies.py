"""Hosts copy what they hold to the bottom; what they hold of the router is one of a kind."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from aegis_graph import RoutedChatModel, RouterHandle, create_answer_generator
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import KEYS, ask, made, make_config, open_router

QUESTION: dict[str, Any] = {
    "question": "Which city?",
    "documents": [Document("The city is Paris.", metadata={"source": "a"})],
}


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("what", ["router", "bound", "handle", "model", "component"])
def test_a_deep_copy_asks_the_same_providers_and_writes_to_the_same_ledger(
    server: LoopbackServer, db: Path, what: str, used: bool
) -> None:
    server.always("ollama", Reply("It is."))
    config = make_config(server, db)
    router = open_router(config)
    held, asked = {
        "router": (router, ask()),
        "bound": (router.with_options(sensitivity="pii"), ask()),
        "handle": (RouterHandle(config, environ=KEYS), ask()),
        "model": (RoutedChatModel(router=router, sensitivity="pii"), "Which city?"),
        "component": (create_answer_generator(router), QUESTION),
    }[what]
    if used:
        held.invoke(asked)
    before = made(db) if used else []

    copied = deepcopy({"held": [held]})["held"][0]
    copied.invoke(asked)

    assert copied is not held
    new = made(db)[len(before) :]
    assert {row["status"] for row in new} == {"answered"}
    if what in {"bound", "model"}:
        assert new[0]["sensitivity"] == "pii"


def test_a_deep_copy_knows_which_provider_is_left_alone(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Fault.status(401))
    server.always("dashscope", Reply("It is."))
    router = open_router(make_config(server, db))
    router.invoke(ask())

    result = deepcopy(router).invoke(ask())

    assert [row["provider"] for row in result["attempts"]] == ["dashscope"]
    assert [row["provider"] for row in made(db)] == ["ollama", "dashscope", "dashscope"]
