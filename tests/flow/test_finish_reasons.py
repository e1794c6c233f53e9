"""An answer that a cap cut off passes for a whole one nowhere, whatever its provider calls that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel

from aegis_graph import RoutedChatModel, create_image_describer, image_part
from aegis_graph.components.image_describer.results import CUT
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.components.extraction_support import (
    answer_on,
    city,
    make_extractor,
    statement,
)
from tests.flow.components.lightrag_support import DOCUMENTS, lightrag_config, open_rag
from tests.flow.scripted_kind import install, scripted
from tests.flow.support import ask, drawn, make_config, open_router, provider

cut_in_every_dialect = pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"finish_reason": "model_length"},
        {"finish_reason": "MAX_TOKENS"},
        {"done": True, "done_reason": "length"},
        {"stop_reason": "max_tokens"},
        {"stop_reason": "max_output_tokens"},
        {"stopReason": "max_tokens"},
    ],
    ids=lambda metadata: "-".join(map(str, metadata.values())),
)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@cut_in_every_dialect
async def test_the_router_gives_it_one_finish_reason(
    server: LoopbackServer, db: Path, metadata: dict[str, Any]
) -> None:
    router = open_router(make_config(server, db, providers=[scripted(metadata, "Half an ans")]))
    answer = (await router.ainvoke(ask()))["messages"][-1]
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata.items() >= (metadata | {"finish_reason": "length"}).items()


async def test_a_stream_gives_it_once_and_in_the_routers_word(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", Reply("Half an ans", finish_reason="MAX_TOKENS"))
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    total = AIMessageChunk(content="")
    async for chunk in RoutedChatModel(router=router, task="chat").astream("Which city?"):
        assert isinstance(chunk, AIMessageChunk)
        total += chunk
    assert (total.text, total.response_metadata["finish_reason"]) == ("Half an ans", "length")


@pytest.mark.parametrize("reason", ["stop", "end_turn", "tool_use"])
async def test_any_other_reason_is_passed_on(server: LoopbackServer, db: Path, reason: str) -> None:
    row = scripted({"stop_reason": reason}, "An answer.")
    router = open_router(make_config(server, db, providers=[row]))
    answer = (await router.ainvoke(ask()))["messages"][-1]
    assert answer.response_metadata["finish_reason"] == reason


@cut_in_every_dialect
async def test_half_a_value_of_a_schema_is_not_repaired(
    server: LoopbackServer, db: Path, metadata: dict[str, Any]
) -> None:
    class Note(BaseModel):
        text: str

    row = scripted(metadata, '{"text": "Stop before you', structured="prompt")
    router = open_router(make_config(server, db, providers=[row]))
    model = RoutedChatModel(router=router, task="chat").with_structured_output(Note)
    with pytest.raises(AllProvidersFailedError, match="Note: the output cap cut the answer off"):
        await model.ainvoke("Which city?")


@cut_in_every_dialect
def test_half_an_extraction_is_not_called_complete(
    server: LoopbackServer, db: Path, metadata: dict[str, Any]
) -> None:
    whole = answer_on(0, 1)
    row = scripted(metadata, whole[: whole.index(city(1))])
    graph = make_extractor(server, db, providers=[row], structured=False)
    result = graph.invoke({"text": f"{statement(0)} {statement(1)}"})
    assert [one["error_type"] for one in result["failed_chunks"]] == ["OutputCutError"]


@cut_in_every_dialect
async def test_half_a_description_of_an_image_is_degraded(
    server: LoopbackServer, db: Path, metadata: dict[str, Any]
) -> None:
    config = make_config(server, db, providers=[scripted(metadata, "A cat on a", images=True)])
    graph = create_image_describer(open_router(config), store=None)
    state: Any = {"images": [image_part(drawn())], "kind": "text"}
    (result,) = (await graph.ainvoke(state))["results"]
    assert result["degraded_reason"] == CUT


@cut_in_every_dialect
async def test_half_an_answer_is_kept_for_lightrag_as_such(
    server: LoopbackServer, db: Path, tmp_path: Path, metadata: dict[str, Any]
) -> None:
    config = lightrag_config(server, db, providers=[scripted(metadata)])
    folder = tmp_path / "rag"
    async with open_rag(config, folder) as rag:
        await rag.aadd(dict(list(DOCUMENTS.items())[:1]))
    (kept,) = folder.rglob("*.db")
    with closing(sqlite3.connect(kept)) as database:
        found = database.execute("SELECT DISTINCT truncated FROM answers").fetchall()
    assert found == [(1,)]
