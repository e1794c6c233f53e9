"""Streams that break off at every place: no joined answers, right costs, nothing held."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage

from aegis_graph import RoutedChatModel
from aegis_graph.errors import StreamInterruptedError
from aegis_graph.pricing.money import usd_text
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KINDS,
    assert_one_row_per_call,
    assert_sound,
    dust_settles,
    eventually,
    make_config,
    open_router,
    provider,
    rows,
    settled,
)

DOOMED = Reply("It may well be Rome.", input_tokens=9, output_tokens=6)
PARIS = Reply("No doubt: Paris.", input_tokens=7, output_tokens=5)
PIECES = len(DOOMED.pieces())
FAULTS: dict[str, Callable[[int], Fault]] = {
    "cut": lambda place: Fault.cut(DOOMED, after_chunks=place),
    "end early": lambda place: Fault.end_early(DOOMED, after_chunks=place),
    "error": lambda place: Fault.stream_error(DOOMED, after_chunks=place),
    "malformed": Fault.malformed,
}
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}
"""So a token of output costs 2,000 nano-USD, and one of input 1,000."""


def routed(server: LoopbackServer, db: Path, *kinds: str, **fields: Any) -> RoutedChatModel:
    chain = [provider(server, kind, price=PRICE) for kind in kinds]
    health = {"failures": 100}
    config = make_config(server, db, providers=chain, health=health)
    return RoutedChatModel(router=open_router(config), **fields)


class Heard:
    """What a consumer of the stream has."""

    def __init__(self) -> None:
        self.by_message: dict[str, str] = {}
        self.discarded: list[dict[str, Any]] = []
        self.error: StreamInterruptedError | None = None
        self.last: dict[str, Any] = {}

    def take(self, chunk: AIMessageChunk) -> None:
        if void := chunk.response_metadata.get("attempt_discarded"):
            self.discarded += void
            return
        assert chunk.id is not None
        assert chunk.id not in {event["message_id"] for event in self.discarded}, "a dead one spoke"
        self.by_message[chunk.id] = self.by_message.get(chunk.id, "") + chunk.text
        self.last = chunk.response_metadata

    @property
    def texts(self) -> list[str]:
        return list(self.by_message.values())


async def hear(model: RoutedChatModel, *, sync: bool = False) -> Heard:
    heard = Heard()
    try:
        if sync:
            for chunk in model.stream("Which city?"):
                heard.take(chunk)
        else:
            async for chunk in model.astream("Which city?"):
                heard.take(chunk)
    except StreamInterruptedError as error:
        heard.error = error
    return heard


def cases() -> Iterator[Any]:
    for index, (name, place) in enumerate(itertools.product(FAULTS, range(PIECES + 1))):
        for number, kind in enumerate(KINDS):
            # Sync and async callers take turns: the way to the wire is the same.
            sync = (index + number) % 3 == 0
            yield pytest.param(name, place, kind, sync, id=f"{name}-{place}-{kind}")


@pytest.mark.parametrize(("name", "place", "kind", "sync"), tuple(cases()))
async def test_a_stream_that_breaks_off_raises_with_what_was_said_and_what_it_cost(
    server: LoopbackServer, db: Path, name: str, place: int, kind: Any, sync: bool
) -> None:
    other = KINDS[KINDS.index(kind) - 1]
    server.script(kind, FAULTS[name](place))
    server.always(other, PARIS)
    heard = await hear(routed(server, db, kind, other), sync=sync)
    if place == 0:
        assert (heard.texts, heard.error) == ([PARIS.text], None)
        assert heard.last["provider"] == other
    else:
        assert heard.error is not None
        assert [heard.error.partial_text] == heard.texts
        assert [call.protocol for call in server.calls()] == [kind]
        cost = sum(row["cost_nano_usd"] for row in rows(db))
        assert Decimal(heard.error.cost_usd) == Decimal(usd_text(cost))
        assert heard.error.attempts[-1]["provider"] == kind
    _check_costs(server, db, heard.texts[0] if place else "")


@pytest.mark.parametrize(("name", "place", "kind", "sync"), tuple(cases()))
async def test_a_stream_that_may_restart_says_what_is_void_first(
    server: LoopbackServer, db: Path, name: str, place: int, kind: Any, sync: bool
) -> None:
    other = KINDS[KINDS.index(kind) - 1]
    server.script(kind, FAULTS[name](place))
    server.always(other, PARIS)
    model = routed(server, db, kind, other, on_interrupt="restart")
    heard = await hear(model, sync=sync)
    assert heard.texts[-1] == PARIS.text
    assert len(heard.texts) == (2 if place else 1)
    assert [(event["attempt"], event["provider"]) for event in heard.discarded] == (
        [(1, kind)] if place else []
    )
    assert [record["provider"] for record in heard.last["attempts"]] == [kind, other]
    _check_costs(server, db, heard.texts[0] if place else "")


def _check_costs(server: LoopbackServer, db: Path, partial: str) -> None:
    server.wait_until_idle()
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)
    first = rows(db)[0]
    produced = server.calls()[0].produced.characters_sent
    # A connection that is cut may take the last pieces with it.
    assert len(partial) <= produced
    if partial:
        # Bytes bound tokens, and the words are ASCII: each character is billed as one token.
        assert (first["cost_basis"], first["output_tokens"]) == ("estimated", len(partial))
        assert first["cost_nano_usd"] == 1000 * first["input_tokens"] + 2000 * len(partial)
    else:
        assert (first["cost_basis"], first["cost_nano_usd"]) == ("held", first["hold_nano_usd"])
    if len(rows(db)) == 2:
        assert (
            rows(db)[1]["cost_nano_usd"] == 1000 * PARIS.input_tokens + 2000 * PARIS.output_tokens
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(1, PIECES))
async def test_an_abandoned_stream_costs_what_was_said_and_holds_nothing(
    server: LoopbackServer, db: Path, kind: Any, place: int
) -> None:
    # So much more to come that it is left before its end, however late it is read.
    pieces = (*DOOMED.pieces(), *[" more"] * 1000)
    server.always(kind, Reply(chunks=pieces, chunk_interval_s=0.02))
    model = routed(server, db, kind)
    heard = Heard()
    stream = model.astream("Which city?")
    async for chunk in stream:
        heard.take(chunk)
        if len("".join(heard.texts).split()) >= place:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    await dust_settles(db)
    await asyncio.to_thread(server.wait_until_idle)
    (row,) = rows(db)
    assert row["status"] == "cancelled"
    said = server.calls()[0].produced.characters_sent
    assert len("".join(heard.texts)) <= row["output_tokens"] <= said
    assert_sound(db)


@pytest.mark.parametrize("kind", KINDS)
def test_an_abandoned_sync_stream_ends_its_call(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, Fault.slow_stream(DOOMED, interval_s=600))
    stream = routed(server, db, kind).stream("Which city?")
    while not next(stream).text:
        pass
    stream.close()  # type: ignore[attr-defined]
    server.wait_until_idle()
    assert server.calls()[0].produced.disconnected
    eventually(lambda: settled(db), goal="every hold settled")
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "estimated")
    assert_sound(db)


async def test_callbacks_are_given_one_answer_after_a_restart(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", Fault.end_early(DOOMED, after_chunks=2))
    server.script("dashscope", PARIS)
    model = routed(server, db, "openai", "dashscope", on_interrupt="restart")
    events = [event async for event in model.astream_events("Which city?", version="v2")]
    (end,) = [event for event in events if event["event"] == "on_chat_model_end"]
    assert end["data"]["output"].text == PARIS.text


@pytest.mark.parametrize("form", ["ainvoke", "invoke"])
async def test_an_answer_that_is_asked_for_whole_is_never_interrupted(
    server: LoopbackServer, db: Path, form: str
) -> None:
    server.script("openai", Fault.cut(DOOMED, after_chunks=3))
    server.script("dashscope", PARIS)
    # Callbacks that are told each piece make the wire stream all the same.
    model = routed(server, db, "openai", "dashscope", streaming=True)
    answer = await model.ainvoke("?") if form == "ainvoke" else model.invoke("?")
    assert answer.text == PARIS.text
    assert_sound(db)


def test_the_error_survives_another_process() -> None:
    error = StreamInterruptedError(
        "it broke off",
        route_id="r",
        attempts=[{"cost_usd": "0.25"}, {"cost_usd": "0.5"}],
        partial_text="It may",
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.partial_text, again.cost_usd) == ("it broke off", "It may", "0.75")
    assert again.attempts == error.attempts


@pytest.mark.filterwarnings(
    "ignore:The v3 streaming protocol:langchain_core._api.LangChainBetaWarning"
)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_said_in_events_of_version_3_is_settled_as_that(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, Fault.cut(DOOMED, after_chunks=3))
    other = KINDS[KINDS.index(kind) - 1]
    server.always(other, PARIS)
    chain = [provider(server, one, price=PRICE) for one in (kind, other)]
    router = open_router(make_config(server, db, providers=chain))
    stream: Any = await router.astream_events(
        {"messages": [HumanMessage("Which city?")]}, version="v3"
    )
    assert [event async for event in stream]
    first, second = rows(db)
    assert (first["provider"], first["cost_basis"]) == (kind, "estimated")
    assert first["output_tokens"] == len("".join(DOOMED.pieces()[:3]))
    assert second["cost_basis"] == "reported"
    assert_sound(db)
