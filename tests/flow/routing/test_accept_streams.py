"""Refused answers of which tokens went out: they are taken back, in graphs and in chat models."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from aegis_graph import AllProvidersFailedError, Request, RoutedChatModel, StreamInterruptedError
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.accept_support import REASON, names_a_city
from tests.flow.support import (
    DUST_S,
    KINDS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
)

GOOD, BAD = "It is Paris.", "No idea at all."


def open_cascade(server: LoopbackServer, db: Path, first: str = "ollama", **more: Any) -> Any:
    second = "openai" if first != "openai" else "ollama"
    server.always(first, Reply(more.pop("cheap", BAD), output_tokens=1))  # type: ignore[arg-type]
    server.always(second, Reply(more.pop("dear", GOOD), output_tokens=1))  # type: ignore[arg-type]
    chain = [
        provider(server, first, **flat_price("1")),
        provider(server, second, **flat_price("5")),
    ]
    accept = {"accept": {"*": names_a_city}, **more}
    return open_router(make_config(server, db, providers=chain), **accept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["alone", "as a node"])
@pytest.mark.parametrize("sync", [False, True])
async def test_the_tokens_of_a_refused_answer_are_taken_back_by_name(
    server: LoopbackServer, db: Path, kind: str, place: str, sync: bool
) -> None:
    graph = open_cascade(server, db, kind)
    if place == "as a node":
        graph = StateGraph(MessagesState).add_node("llm", graph).add_edge(START, "llm").compile()
    more: Any = {"stream_mode": ["messages", "custom"], "subgraphs": True}
    if sync:
        parts = await asyncio.to_thread(lambda: list(graph.stream(ask(), **more)))
    else:
        parts = [part async for part in graph.astream(ask(), **more)]
    said: dict[str, str] = {}
    events = []
    for _, mode, data in parts:
        if mode == "custom":
            events.append(data)
            if data["event"] == "attempt_discarded":
                assert said.pop(data["message_id"]) == BAD
        else:
            said[data[0].id] = said.get(data[0].id, "") + data[0].text
    assert list(said.values()) == [GOOD]
    assert [one["event"] for one in events] == [
        *("attempt_started", "attempt_discarded", "attempt_started"),
    ]
    assert (events[1]["provider"], events[1]["attempt"], events[1]["reason"]) == (kind, 1, REASON)
    assert_sound(db)


async def test_without_tokens_nothing_is_taken_back(server: LoopbackServer, db: Path) -> None:
    router = open_cascade(server, db)
    events = [part async for part in router.astream(ask(), stream_mode="custom")]
    assert [one["event"] for one in events] == ["attempt_started", "attempt_started"]


class TestChatModels:
    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_whole_answer_is_the_accepted_one(
        self, server: LoopbackServer, db: Path, sync: bool
    ) -> None:
        model = RoutedChatModel(router=open_cascade(server, db))
        asked: Any = [HumanMessage("Which city?")]
        answer = await (asyncio.to_thread(model.invoke, asked) if sync else model.ainvoke(asked))
        assert answer.text == GOOD
        assert_sound(db)

    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_stream_is_interrupted_and_says_why(
        self, server: LoopbackServer, db: Path, sync: bool
    ) -> None:
        model = RoutedChatModel(router=open_cascade(server, db))
        said: list[str] = []

        async def read() -> None:
            if sync:
                await asyncio.to_thread(
                    lambda: said.extend(chunk.text for chunk in model.stream("Which city?"))
                )
                return
            async for chunk in model.astream("Which city?"):
                said.append(chunk.text)

        problem = f"refused after it went out: .*{REASON}"
        with pytest.raises(StreamInterruptedError, match=problem) as caught:
            await read()
        assert "".join(said) == BAD
        assert (caught.value.partial_text, caught.value.cost_usd) == (BAD, "1")
        assert [row["error_type"] for row in rows(db)] == ["RejectedAnswerError"]
        assert_sound(db)

    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_stream_that_restarts_marks_where_it_does(
        self, server: LoopbackServer, db: Path, sync: bool
    ) -> None:
        model = RoutedChatModel(router=open_cascade(server, db), on_interrupt="restart")
        if sync:
            chunks = await asyncio.to_thread(lambda: list(model.stream("Which city?")))
        else:
            chunks = [chunk async for chunk in model.astream("Which city?")]
        said = ""
        for chunk in chunks:
            if void := chunk.response_metadata.get("attempt_discarded"):
                assert (said, [one["reason"] for one in void]) == (BAD, [REASON])
                said = ""
            said += chunk.text
        assert said == GOOD
        assert_sound(db)

    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_reader_that_leaves_while_an_answer_is_judged_ends_the_check(
        self, server: LoopbackServer, db: Path, sync: bool
    ) -> None:
        judging, ended = threading.Event(), threading.Event()

        async def hang(request: Request, answer: AIMessage) -> None:
            judging.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        model = RoutedChatModel(router=open_cascade(server, db, accept={"*": hang}))

        def read() -> None:
            stream: Any = model.stream("Which city?")
            next(stream)
            assert judging.wait(DUST_S)
            stream.close()

        async def read_async() -> None:
            stream: Any = model.astream("Which city?")
            await anext(stream)
            assert await asyncio.to_thread(judging.wait, DUST_S)
            await stream.aclose()

        await (asyncio.to_thread(read) if sync else read_async())
        assert ended.is_set()
        await dust_settles(db)
        assert [row["status"] for row in rows(db)] == ["answered"]
        assert_sound(db)


class City(BaseModel):
    """A city."""

    name: str


class TestAnswersInASchema:
    async def test_the_value_is_there_when_the_check_looks(
        self, server: LoopbackServer, db: Path
    ) -> None:
        def check(request: Request, answer: AIMessage) -> str | None:
            return None if answer.additional_kwargs["parsed"]["name"] == "Paris" else REASON

        router = open_cascade(
            server,
            db,
            cheap=json.dumps({"name": "Rome"}),
            dear=json.dumps({"name": "Paris"}),
            accept={"*": check},
        )
        found = await RoutedChatModel(router=router).with_structured_output(City).ainvoke("Which?")
        assert found == City(name="Paris")
        assert [row["error_type"] for row in rows(db)] == ["RejectedAnswerError", None]

    async def test_json_is_what_the_attempt_made_sure_of(
        self, server: LoopbackServer, db: Path
    ) -> None:
        router = open_cascade(
            server, db, cheap="No.", dear='```json\n{"name": "Paris"}\n```', accept={"*": "json"}
        )
        found = await RoutedChatModel(router=router).with_structured_output(City).ainvoke("Which?")
        assert found == City(name="Paris")
        assert [row["error_type"] for row in rows(db)] == ["UnfitAnswerError", None]


async def test_only_an_accepted_answer_is_kept_and_before_its_cost(
    server: LoopbackServer, db: Path
) -> None:
    kept: list[tuple[str, list[str]]] = []

    def keep(answer: AIMessage) -> None:
        kept.append((answer.text, [row["status"] for row in rows(db)]))

    await open_cascade(server, db).ainvoke(ask(), with_observer(RunObserver(keep=keep)))
    assert kept == [(GOOD, ["failed", "reserved"])]
    with pytest.raises(AllProvidersFailedError):
        await open_cascade(server, db, dear=BAD).ainvoke(
            ask(), with_observer(RunObserver(keep=keep))
        )
    assert len(kept) == 1
    assert_sound(db)
