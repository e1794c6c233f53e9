"""A second attempt beside one that takes long: one answer, two rows, and nothing over a limit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import (
    AllProvidersFailedError,
    AttemptRefusedError,
    ConfigError,
    InvalidRequestError,
    RoutedChatModel,
    RouterConfig,
)
from aegis_graph.routing.candidates.latencies import FEWEST_ANSWERS
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    Row,
    ask,
    assert_sound,
    dust_settles,
    eventually,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)

SOON_S = 0.02
"""After which a second attempt is sent to the next provider."""
USD = 1_000_000_000
TOOL = {
    "type": "function",
    "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}},
}


def chain(server: LoopbackServer, *kinds: str, **more: Any) -> list[Row]:
    """Each attempt holds and costs a dollar."""
    return [provider(server, kind, **flat_price("1"), **more) for kind in kinds]


def hedged(server: LoopbackServer, db: Path, *kinds: str, **sections: Any) -> Any:
    routing = {"hedge_after_s": SOON_S, **sections.pop("routing", {})}
    more = sections.pop("row", {})
    hooks = sections.pop("hooks", {})
    rows = chain(server, *(kinds or ("openai", "dashscope")), **more)
    config = make_config(server, db, providers=rows, routing=routing, **sections)
    return open_router(config, **hooks)


def short(text: str, **more: Any) -> Reply:
    return Reply(text, input_tokens=10, output_tokens=1, **more)


def outline(result: Any) -> list[tuple[str, str, str]]:
    return [(one["provider"], one["status"], one["cost_basis"]) for one in result["attempts"]]


WON = [("openai", "cancelled", "held"), ("dashscope", "answered", "reported")]


@pytest.mark.parametrize("way", ["fast", "engine", "sync"])
async def test_the_second_answers_and_the_first_is_cancelled_and_settled(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("It is Paris."))
    router = hedged(server, db)
    if way == "fast":
        result = await router.ainvoke(ask())
    elif way == "sync":
        result = await asyncio.to_thread(router.invoke, ask())
    else:
        parts = [part async for part in router.astream(ask(), stream_mode="values")]
        result = parts[-1]
    assert result["messages"][-1].text == "It is Paris."
    assert result["messages"][-1].response_metadata["attempt"] == 2
    assert outline(result) == WON
    first, second = result["attempts"]
    assert first["reason"] == "cloud, candidate 1; dashscope answered first"
    assert second["reason"] == "hedge: openai had no answer after 0.02 s"
    assert [first["attempt"], second["attempt"]] == [1, 2]
    assert [(row["provider"], row["attempt"], row["status"]) for row in rows(db)] == [
        ("openai", 1, "cancelled"),
        ("dashscope", 2, "answered"),
    ]
    assert_sound(db)
    await asyncio.to_thread(server.wait_until_idle)


async def test_the_first_answers_after_all_and_the_second_is_cancelled(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", short("It is Paris.", latency_s=0.5))
    server.always("dashscope", Fault.hang())
    result = await hedged(server, db).ainvoke(ask())
    assert outline(result) == [
        ("openai", "answered", "reported"),
        ("dashscope", "cancelled", "held"),
    ]
    reason = "hedge: openai had no answer after 0.02 s; openai answered first"
    assert result["attempts"][1]["reason"] == reason
    assert result["messages"][-1].response_metadata["provider"] == "openai"
    assert_sound(db)


@pytest.mark.parametrize(
    "choice",
    [{}, {"hedge_after_s": "off"}, {"hedge_after_s": 3600}],
    ids=["default", "off", "late"],
)
async def test_nothing_is_sent_where_nothing_is_wanted(
    server: LoopbackServer, db: Path, choice: Any
) -> None:
    server.always("openai", short("Paris", latency_s=0.2))
    config = make_config(
        server, db, providers=chain(server, "openai", "dashscope"),
        routing={"hedge_after_s": SOON_S} if choice else {},
    )  # fmt: skip
    assert len((await open_router(config).ainvoke(ask(**choice)))["attempts"]) == 1
    assert len(server.calls()) == 1


async def test_a_request_asks_for_it_in_each_place_that_may_say_so(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris"))
    router = open_router(make_config(server, db, providers=chain(server, "openai", "dashscope")))
    choice: Any = {"hedge_after_s": SOON_S}
    for result in (
        await router.ainvoke(ask(**choice)),
        await router.with_options(**choice).ainvoke(ask()),
        await router.ainvoke(ask(), context=choice),
        await router.ainvoke(ask(), {"configurable": choice}),
    ):
        assert outline(result) == WON
    answer = await RoutedChatModel(router=router, **choice).ainvoke("Which city?")
    assert answer.response_metadata["provider"] == "dashscope"


@pytest.mark.parametrize("value", [0, -1, "p99", True, float("nan")])
async def test_what_is_no_time_is_refused_with_what_there_is(
    server: LoopbackServer, db: Path, value: Any
) -> None:
    router = open_router(make_config(server, db))
    with pytest.raises(InvalidRequestError, match=r"hedge_after_s: .* above 0, 'p95' or 'off'"):
        await router.ainvoke(ask(hedge_after_s=value))
    with pytest.raises(InvalidRequestError, match="hedge_after_s"):
        await router.ainvoke(ask(), {"configurable": {"hedge_after_s": value}})


def test_a_file_with_another_word_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    path.write_text('[routing]\nhedge_after_s = "p99"\n')
    with pytest.raises(ConfigError, match=r"routing\.hedge_after_s"):
        RouterConfig.load(path)


async def test_a_request_with_tools_is_hedged_only_where_that_is_asked_for(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", short("Paris", latency_s=0.3))
    server.always("dashscope", short("Paris"))
    asked = ask(options={"tools": [TOOL]})
    assert len((await hedged(server, db).ainvoke(asked))["attempts"]) == 1
    server.always("openai", Fault.hang())
    router = hedged(server, db, routing={"hedge_tools": True})
    assert outline(await router.ainvoke(asked)) == WON


async def test_private_data_is_sent_to_no_cloud_beside_a_slow_local_provider(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", short("Paris", latency_s=0.3))
    result = await hedged(server, db, "ollama", "openai").ainvoke(ask(sensitivity="pii"))
    assert [one["provider"] for one in result["attempts"]] == ["ollama"]
    assert {call.protocol for call in server.calls()} == {"ollama"}


@pytest.mark.parametrize("full", ["budget", "run", "limit", "price"])
async def test_without_room_for_the_second_the_first_goes_on_alone(
    server: LoopbackServer, db: Path, full: str
) -> None:
    server.always("openai", short("Paris", latency_s=0.3))
    room: dict[str, Row] = {
        "budget": {"budgets": {"total": "1.5"}},
        "limit": {"limits": [{"scope": "total", "max_concurrency": 1}]},
    }
    asked = {"run": {"run_id": "r", "max_cost_usd": "1.5"}, "price": {"max_price_usd": "1"}}
    router = hedged(server, db, **room.get(full, {}))
    if full == "price":
        dear = [*chain(server, "openai"), provider(server, "dashscope", **flat_price("2"))]
        routing = {"hedge_after_s": SOON_S}
        router = open_router(make_config(server, db, providers=dear, routing=routing))
    result = await router.ainvoke(ask(**asked.get(full, {})))
    assert outline(result) == [("openai", "answered", "reported")]
    assert len(rows(db)) == 1
    assert_sound(db)


async def test_a_stand_in_is_no_second_attempt(server: LoopbackServer, db: Path) -> None:
    """It would always be the first to answer, and no model would be heard any more."""
    server.always("openai", short("Paris", latency_s=0.3))
    quotes = {"name": "quotes", "kind": "extractive", "model": "m", "location": "local"}
    config = make_config(
        server, db, providers=[*chain(server, "openai"), quotes],
        routing={"hedge_after_s": SOON_S},
    )  # fmt: skip
    result = await open_router(config).ainvoke(ask(task="answer"))
    assert [one["provider"] for one in result["attempts"]] == ["openai"]


async def test_the_first_fails_while_the_second_runs_which_goes_on(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.cut(short("Par is", latency_s=0.4), 0))
    server.always("dashscope", short("Paris", latency_s=0.8))
    result = await hedged(server, db).ainvoke(ask())
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("openai", "failed"),
        ("dashscope", "answered"),
    ]
    assert len(rows(db)) == 2
    assert_sound(db)


async def test_both_fail_and_the_third_is_asked_without_a_second_hedge(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.cut(short("Par is", latency_s=0.4), 0))
    server.always("dashscope", Fault.cut(short("Par is", latency_s=0.4), 0))
    server.always("ollama", short("Paris", latency_s=0.2))
    router = hedged(server, db, "openai", "dashscope", "ollama")
    result = await router.ainvoke(ask())
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("openai", "failed"),
        ("dashscope", "failed"),
        ("ollama", "answered"),
    ]
    assert [one["attempt"] for one in result["attempts"]] == [1, 2, 3]
    assert_sound(db)


async def test_two_that_fail_alone_are_both_in_the_error(server: LoopbackServer, db: Path) -> None:
    for kind in ("openai", "dashscope"):
        server.always(kind, Fault.cut(short("Par is", latency_s=0.4), 0))
    with pytest.raises(AllProvidersFailedError) as caught:
        await hedged(server, db).ainvoke(ask())
    assert [one["provider"] for one in caught.value.attempts] == ["openai", "dashscope"]
    assert_sound(db)


async def test_a_refusal_before_the_hedge_is_todays_fallback(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.status(400))
    server.always("dashscope", short("Paris"))
    result = await hedged(server, db, routing={"hedge_after_s": 60}).ainvoke(ask())
    assert outline(result)[0] == ("openai", "failed", "none")
    assert result["attempts"][1]["reason"].startswith("cloud, candidate")


async def test_a_caller_that_goes_away_settles_both(server: LoopbackServer, db: Path) -> None:
    for kind in ("openai", "dashscope"):
        server.always(kind, Fault.hang())
    task = asyncio.create_task(hedged(server, db).ainvoke(ask()))
    await asyncio.to_thread(server.wait_for_calls, 2)
    assert [row["status"] for row in rows(db)] == ["reserved", "reserved"], "what a crash leaves"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await dust_settles(db)
    assert [(row["status"], row["cost_basis"]) for row in rows(db)] == [("cancelled", "held")] * 2
    await asyncio.to_thread(server.wait_until_idle)
    assert_sound(db)


async def test_a_loser_is_no_failure_of_its_provider(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris"))
    router = hedged(server, db, health={"failures": 1})
    for _ in range(3):
        assert outline(await router.ainvoke(ask())) == WON


@pytest.mark.parametrize("hook", ["before_attempt", "policy"])
@pytest.mark.parametrize("error", [AttemptRefusedError("no"), ValueError("broken")])
async def test_a_function_that_refuses_the_second_leaves_the_first_alone(
    server: LoopbackServer, db: Path, hook: str, error: Exception
) -> None:
    server.always("openai", short("Paris", latency_s=0.3))

    def before_attempt(attempt: Any) -> None:
        if attempt.provider == "dashscope":
            assert attempt.attempt == 2
            raise error

    def policy(candidates: Any, skipped: Any, request: Any) -> Any:
        if [one.spec.name for one in candidates] == ["dashscope"]:
            raise error
        return candidates

    given = {"before_attempt": before_attempt, "policy": policy}[hook]
    result = await hedged(server, db, hooks={hook: given}).ainvoke(ask())
    assert outline(result) == [("openai", "answered", "reported")]
    await dust_settles(db)
    assert [row["provider"] for row in made(db)] == ["openai"]
    assert len(server.calls()) == 1
    assert_sound(db)


async def test_each_attempt_is_redacted_and_reported_by_its_own_record(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris"))
    told: list[tuple[str, str, bool]] = []

    def before_attempt(attempt: Any) -> None:
        attempt.messages[0].content = f"for {attempt.provider}"

    def after_attempt(settled: Any) -> None:
        record = settled.record
        told.append((record["provider"], record["status"], settled.answer is not None))

    router = hedged(
        server, db, hooks={"before_attempt": before_attempt, "after_attempt": after_attempt}
    )
    await router.ainvoke(ask("a question of some length"))
    sent = {call.protocol: str(call.body) for call in server.calls()}
    assert "for openai" in sent["openai"]
    assert "for dashscope" in sent["dashscope"]
    assert told == [("openai", "cancelled", False), ("dashscope", "answered", True)]


async def test_p95_begins_once_enough_answers_were_measured(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", short("Paris"))
    server.always("dashscope", short("Lyon"))
    router = hedged(server, db, routing={"hedge_after_s": "p95"})
    for _ in range(FEWEST_ANSWERS - 1):
        assert len((await router.ainvoke(ask()))["attempts"]) == 1
    server.script("openai", short("Paris", latency_s=0.5))
    assert len((await router.ainvoke(ask()))["attempts"]) == 1, "too few to know"
    # What is known is in the ledger: a program that starts has it, too.
    server.always("openai", Fault.hang())
    for one in (router, hedged(server, db, routing={"hedge_after_s": "p95"})):
        result = await one.ainvoke(ask())
        assert outline(result) == WON
        assert "s (p95)" in result["attempts"][1]["reason"]
    # Of another task nothing is known.
    other = asyncio.create_task(router.ainvoke(ask(task="answer", timeout_s=0.5)))
    with pytest.raises(AllProvidersFailedError):
        await other
    assert_sound(db)


async def test_a_caller_that_streams_gets_the_pieces_of_one_attempt(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("It is Paris."))
    router = hedged(server, db)
    parts = [
        part
        async for part in router.astream(
            ask(), stream_mode=["messages", "custom", "values"], subgraphs=False
        )
    ]
    told = [(one["event"], one["provider"]) for mode, one in parts if mode == "custom"]
    assert told == [("attempt_started", "openai"), ("attempt_started", "dashscope")]
    shown = [one for mode, one in parts if mode == "messages"]
    assert "".join(chunk.text for chunk, _ in shown) == "It is Paris."
    assert {meta["provider"] for chunk, meta in shown if "provider" in meta} == {"dashscope"}
    result = [one for mode, one in parts if mode == "values"][-1]
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("openai", "cancelled"),
        ("dashscope", "answered"),
    ]
    assert result["attempts"][1]["reason"] == "hedge: openai had no first token after 0.02 s"


@pytest.mark.parametrize("sync", [False, True])
async def test_a_chat_model_streams_one_attempt(
    server: LoopbackServer, db: Path, sync: bool
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("It is Paris."))
    model = RoutedChatModel(router=hedged(server, db))
    if sync:
        chunks = await asyncio.to_thread(lambda: list(model.stream("Which city?")))
    else:
        chunks = [chunk async for chunk in model.astream("Which city?")]
    assert "".join(chunk.text for chunk in chunks) == "It is Paris."
    await dust_settles(db)
    assert_sound(db)


async def test_what_has_begun_to_speak_is_not_hedged(server: LoopbackServer, db: Path) -> None:
    server.always("openai", short("It is a city in France.", chunk_interval_s=0.1))
    server.always("dashscope", short("Lyon"))
    router = hedged(server, db, routing={"hedge_after_s": 0.3})
    chunks = [chunk async for chunk in RoutedChatModel(router=router).astream("Which city is it?")]
    assert "".join(chunk.text for chunk in chunks) == "It is a city in France."
    assert {call.protocol for call in server.calls()} == {"openai"}
    await dust_settles(db)
    assert len(rows(db)) == 1


async def test_the_one_that_speaks_first_is_shown_to_its_end(
    server: LoopbackServer, db: Path
) -> None:
    """The second begins to speak, slowly; the first would have had its whole answer before that."""
    server.always("openai", short("never shown", latency_s=1.0))
    server.always("dashscope", short("It is in France.", chunk_interval_s=0.4))
    model = RoutedChatModel(router=hedged(server, db))
    chunks = [chunk async for chunk in model.astream("Which city?")]
    assert "".join(chunk.text for chunk in chunks) == "It is in France."
    await dust_settles(db)
    assert [row["status"] for row in rows(db)] == ["cancelled", "answered"]
    assert_sound(db)


async def test_a_speaker_that_breaks_off_is_discarded_and_replaced(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", Fault.cut(short("It is in France."), 2))
    server.always("ollama", short("Paris"))
    router = hedged(server, db, "openai", "dashscope", "ollama", row={"timeout_s": 3})
    parts = [part async for part in router.astream(ask(), stream_mode=["messages", "custom"])]
    told = [(one["event"], one["provider"]) for mode, one in parts if mode == "custom"]
    assert told == [
        ("attempt_started", "openai"),
        ("attempt_started", "dashscope"),
        ("attempt_discarded", "dashscope"),
        ("attempt_started", "openai"),
    ] or told[-1] == ("attempt_started", "ollama")
    await dust_settles(db)


async def test_keep_is_called_once_with_the_answer_that_counts(
    server: LoopbackServer, db: Path
) -> None:
    from aegis_graph.routing.observer import RunObserver, with_observer  # noqa: PLC0415

    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris"))
    kept: list[str] = []
    observer = RunObserver(keep=lambda answer: kept.append(answer.text))
    await hedged(server, db).ainvoke(ask(), with_observer(observer))
    assert kept == ["Paris"]


async def test_many_at_once_never_pass_a_tight_budget(server: LoopbackServer, db: Path) -> None:
    """Room for 30 attempts of a dollar, and 20 requests that would make 40."""
    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris", latency_s=0.05))
    router = hedged(server, db, budgets={"total": "30"}, row={"timeout_s": 3})
    results = await asyncio.gather(
        *(router.ainvoke(ask(f"city {number}?")) for number in range(20)), return_exceptions=True
    )
    await dust_settles(db)
    assert spent(db) <= 30 * USD
    assert any(isinstance(one, dict) for one in results)
    assert_sound(db)
    eventually(lambda: server.in_flight == 0, goal="every call has ended")


async def test_messages_stay_the_callers(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.hang())
    server.always("dashscope", short("Paris"))
    question = HumanMessage("Which city?")
    result = await hedged(server, db).ainvoke({"messages": [question]})
    assert [one.type for one in result["messages"]] == ["human", "ai"]
