"""Providers are asked by price, latency or weight, in the file's words or a request's own."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import (
    ConfigError,
    InvalidRequestError,
    LedgerError,
    RoutedChatModel,
    RouterConfig,
)
from aegis_graph.clock import utc_now
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import ask, assert_sound, make_config, open_router, provider, rows


def row(server: LoopbackServer, name: str, kind: str, usd: str, **more: Any) -> dict[str, Any]:
    price = {
        "input_usd_per_mtok": usd,
        "output_usd_per_mtok": f"{2 * float(usd)}",
        "cached_input_usd_per_mtok": f"{float(usd) / 10}",
    }
    return provider(server, kind, name=name, model=f"{name}-1", price=price, **more)


def config_of(server: LoopbackServer, db: Path, *rows: dict[str, Any], **routing: Any) -> Any:
    return make_config(server, db, providers=rows, routing={"order": "price", **routing})


def dear_and_cheap(server: LoopbackServer) -> list[dict[str, Any]]:
    return [row(server, "dear", "openai", "10"), row(server, "cheap", "dashscope", "1")]


@pytest.fixture
def answering(server: LoopbackServer) -> LoopbackServer:
    server.always("openai", Reply("dear"))
    server.always("dashscope", Reply("cheap"))
    server.always("ollama", Reply("free"))
    return server


async def test_the_cheapest_is_asked_and_the_row_says_what_was_expected(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db, *dear_and_cheap(answering)))
    (attempt,) = (await router.ainvoke(ask()))["attempts"]
    assert attempt["provider"] == "cheap"
    # Nothing is known yet: 22 tokens of 91 bytes at most, and 300 of an answer.
    assert attempt["reason"] == "expected $0.00062; dear $0.0062"
    again = router.invoke(ask())
    assert again["attempts"][0]["reason"] == "expected $0.000032; dear $0.00032"
    first, second = rows(db)
    assert (first["expected_nano_usd"], second["expected_nano_usd"]) == (622_000, 32_000)
    # 10 tokens and 5: what came.
    assert (first["cost_nano_usd"], second["cost_nano_usd"]) == (20_000, 20_000)
    assert_sound(db)


async def test_a_listed_order_says_and_counts_nothing(answering: LoopbackServer, db: Path) -> None:
    config = make_config(answering, db, providers=dear_and_cheap(answering))
    (attempt,) = (await open_router(config).ainvoke(ask()))["attempts"]
    assert (attempt["provider"], attempt["reason"]) == ("dear", "cloud, candidate 1")
    assert rows(db)[0]["expected_nano_usd"] is None


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ({"order": "listed"}, "dear"),
        ({"order": "price"}, "cheap"),
        ({"providers": ["dear", "cheap"]}, "dear"),
        ({"providers": ["dear", "cheap"], "order": "price"}, "cheap"),
        ({"model": "both"}, "dear"),
        ({"model": "auto"}, "cheap"),
    ],
)
async def test_a_request_has_an_order_of_its_own(
    answering: LoopbackServer, db: Path, choice: dict[str, Any], asked: str
) -> None:
    chain = dear_and_cheap(answering)
    config = make_config(
        answering, db, providers=chain, routing={"order": "price"},
        aliases={"both": ["dear", "cheap"]},
    )  # fmt: skip
    router = open_router(config)
    for result in (
        await router.ainvoke(ask(**choice)),
        await router.with_options(**choice).ainvoke(ask()),
        await router.ainvoke(ask(), context=choice),
    ):
        assert result["attempts"][0]["provider"] == asked
    model = RoutedChatModel(router=router, **choice)
    assert (await model.ainvoke("Which city?")).response_metadata["provider"] == asked


async def test_an_order_of_another_name_is_refused_and_a_hosts_own_is_passed_over(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db, *dear_and_cheap(answering)))
    with pytest.raises(
        InvalidRequestError, match="order: 'cheapest' is unknown; use one of listed"
    ):
        await router.ainvoke(ask(order="cheapest"))
    theirs = await router.ainvoke(ask(), {"configurable": {"order": "4711"}})
    ours = await router.ainvoke(ask(), {"configurable": {"order": "listed"}})
    assert [one["attempts"][0]["provider"] for one in (theirs, ours)] == ["cheap", "dear"]


async def test_an_embedded_stand_in_waits_for_the_models(
    answering: LoopbackServer, db: Path
) -> None:
    quotes = {"name": "quotes", "kind": "extractive", "model": "best-sentences"}
    chain = [{**quotes, "location": "local"}, *dear_and_cheap(answering)]
    router = open_router(config_of(answering, db, *chain))
    assert (await router.ainvoke(ask()))["attempts"][0]["provider"] == "cheap"


async def test_a_price_change_moves_the_traffic(answering: LoopbackServer, db: Path) -> None:
    chain = dear_and_cheap(answering)
    before = await open_router(config_of(answering, db, *chain)).ainvoke(ask())
    dearer = row(answering, "cheap", "dashscope", "100")
    after = await open_router(config_of(answering, db, chain[0], dearer)).ainvoke(ask())
    assert [one["attempts"][0]["provider"] for one in (before, after)] == ["cheap", "dear"]


async def test_a_program_that_starts_knows_what_the_ledger_knows(
    server: LoopbackServer, db: Path
) -> None:
    """A model that says much is dearer than one of a higher price that says little."""
    server.always("openai", Reply("short", input_tokens=10, output_tokens=5))
    server.always("dashscope", Reply("long", input_tokens=10, output_tokens=900))
    config = config_of(server, db, *dear_and_cheap(server))
    first = open_router(config)
    for name in ("cheap", "dear"):
        await first.ainvoke(ask(providers=[name]))
    (attempt,) = (await open_router(config).ainvoke(ask()))["attempts"]
    assert attempt["provider"] == "dear"
    assert attempt["reason"] == "expected $0.00032; cheap $0.0018"


async def test_the_expectation_needs_no_transaction_of_its_own(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db, *dear_and_cheap(answering)))
    await router.ainvoke(ask())
    with closing(sqlite3.connect(db)) as connection:
        # What is read after this would show it: the next request expects as before.
        connection.execute("UPDATE requests SET output_tokens = 1000000")
        connection.commit()
    (attempt,) = (await router.ainvoke(ask()))["attempts"]
    assert attempt["reason"].startswith("expected $0.000032;")


async def test_a_conversation_stays_where_its_prefix_is_cached(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("a", input_tokens=4000, output_tokens=5))
    server.always("dashscope", Reply("b", input_tokens=4000, output_tokens=5))
    chain = [row(server, "a", "openai", "1.1"), row(server, "b", "dashscope", "1.0")]
    router = open_router(config_of(server, db, *chain))
    conversation = {"configurable": {"thread_id": "t"}}
    long = [HumanMessage("x" * 16_000)]
    # The dearer one had the conversation first, because the caller chose it.
    await router.ainvoke({"messages": long, "providers": ["a"]}, conversation)
    stays = await router.ainvoke({"messages": long}, conversation)
    (attempt,) = stays["attempts"]
    assert attempt["provider"] == "a"
    assert "with 4,000 tokens from its cache; b $0.00" in attempt["reason"]
    # Another conversation has nothing there.
    other = await router.ainvoke({"messages": long}, {"configurable": {"thread_id": "u"}})
    assert other["attempts"][0]["provider"] == "b"
    # The answers counted no cached token: the cache is not believed for long.
    for _ in range(9):
        last = await router.ainvoke({"messages": long}, conversation)
    assert last["attempts"][0]["provider"] == "b"


async def test_a_retry_goes_to_the_provider_that_was_waited_for(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("dear"))
    server.script("dashscope", Fault.status(503), Reply("cheap"))
    router = open_router(config_of(server, db, *dear_and_cheap(server)))
    result = await router.ainvoke(ask())
    assert [one["provider"] for one in result["attempts"]] == ["cheap", "cheap"]
    assert_sound(db)


async def test_what_fails_falls_back_to_the_next_dearer_one(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("dear"))
    server.always("dashscope", Fault.status(400))
    router = open_router(config_of(server, db, *dear_and_cheap(server)))
    result = await router.ainvoke(ask())
    assert [one["provider"] for one in result["attempts"]] == ["cheap", "dear"]


async def test_the_sooner_answer_is_asked_when_both_were_measured(
    server: LoopbackServer, db: Path
) -> None:
    now = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    server.always("openai", Reply("dear"))
    server.always("dashscope", Reply("cheap"))
    config = config_of(server, db, *dear_and_cheap(server), order="latency")
    first = await open_router(config).ainvoke(ask())
    assert first["attempts"][0]["reason"] == "not measured yet; cheap not measured yet"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE requests SET latency_ms = 900, timestamp = ?", (now,))
        connection.execute(
            "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, query_hash, status, hold_nano_usd, latency_ms, expires_at)"
            " SELECT timestamp, day, 'other', 1, 'cheap', 'cheap-1', task, sensitivity, user_id,"
            " query_hash, status, 0, 150, expires_at FROM requests"
        )
        connection.commit()
    (attempt,) = (await open_router(config).ainvoke(ask()))["attempts"]
    assert (attempt["provider"], attempt["reason"]) == ("cheap", "expected 0.15 s; dear 0.9 s")


async def test_weights_share_the_requests(answering: LoopbackServer, db: Path) -> None:
    chain = [{**one, "weight": 1} for one in dear_and_cheap(answering)]
    router = open_router(config_of(answering, db, *chain, order="weighted"))
    found = [(await router.ainvoke(ask()))["attempts"][0] for _ in range(40)]
    assert {one["provider"] for one in found} == {"dear", "cheap"}
    assert {one["reason"] for one in found} == {"drawn by its weight of 1"}


async def test_a_budget_still_passes_over_the_cheapest(answering: LoopbackServer, db: Path) -> None:
    config = make_config(
        answering, db, providers=dear_and_cheap(answering), routing={"order": "price"},
        budgets={"provider:cheap": "0"},
    )  # fmt: skip
    result = await open_router(config).ainvoke(ask())
    assert result["attempts"][0]["provider"] == "dear"
    assert [one["code"] for one in result["skipped"]] == ["budget"]


def test_a_ledger_that_cannot_be_read_is_said_by_the_admission(
    answering: LoopbackServer, db: Path
) -> None:
    db.write_text("no database")
    router = open_router(config_of(answering, db, *dear_and_cheap(answering)))
    with pytest.raises(LedgerError):
        router.invoke(ask())
    assert answering.calls() == ()


def test_a_policy_sees_what_is_expected(answering: LoopbackServer, db: Path) -> None:
    seen: list[Any] = []

    def policy(candidates: Any, skipped: Any, request: Any) -> Any:
        seen.extend((one.spec.name, one.expected_nano_usd) for one in candidates)
        return candidates[::-1]

    router = open_router(config_of(answering, db, *dear_and_cheap(answering)), policy=policy)
    assert router.invoke(ask())["attempts"][0]["provider"] == "dear"
    assert seen == [("cheap", 622_000), ("dear", 6_220_000)]
    assert rows(db)[0]["expected_nano_usd"] == 6_220_000


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"routing": {"order": "cheapest"}}, "routing.order: "),
        ({"routing": {"baseline": "nobody"}}, "routing.baseline: no provider is named 'nobody'"),
        ({"providers": [{"name": "a", "kind": "openai", "model": "gpt-4o", "location": "cloud",
                         "weight": 0}]}, "providers[0].weight: "),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_in_one_line(
    tmp_path: Path, sections: dict[str, Any], words: str
) -> None:
    file = tmp_path / "aegis.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in sections.get("routing", {}).items()]
    text = "[routing]\n" + "\n".join(lines) if lines else ""
    for one in sections.get("providers", []):
        text += "[[providers]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in one.items())
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        RouterConfig.load(file, environ={})
    assert words in str(caught.value)
