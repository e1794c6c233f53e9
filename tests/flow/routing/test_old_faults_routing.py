"""More measured faults of the system that this package replaces: what it asked, and how often."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import HumanMessage
from pydantic import ValidationError

from aegis_graph import RouterConfig, create_ledger, create_router
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import BudgetExceededError, LedgerError, NoProviderError
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.token_bounds import PER_MESSAGE, PER_REQUEST
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KINDS,
    ask,
    assert_one_row_per_call,
    assert_sound,
    drawn,
    dust_settles,
    eventually,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
    settled,
    spent,
)

DOLLAR = 1_000_000_000
DIME = Reply("Paris", input_tokens=10, output_tokens=1)
PNG = drawn(1024, 1024)
IMAGE_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PICTURE = HumanMessage(
    [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": IMAGE_URL}},
    ]
)
each_kind = pytest.mark.parametrize("kind", KINDS)


class Raising(AsyncCallbackHandler):
    """Bookkeeping of the application that fails on one event."""

    raise_error = True

    def __init__(self, event: str, *, inline: bool) -> None:
        self.run_inline = inline

        async def fail(*args: Any, **kwargs: Any) -> None:
            raise ZeroDivisionError("bookkeeping")

        setattr(self, event, fail)


async def test_an_image_goes_through_routing_budget_and_ledger(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("A pixel.", input_tokens=800, output_tokens=4))
    chain = [provider(server, "ollama"), provider(server, "openai", images=True)]
    config = make_config(server, db, providers=chain, budgets={"provider:openai": "0.02"})
    router = open_router(config)

    result = await router.ainvoke({"messages": [PICTURE], "task": "vision"})

    (call,) = server.calls()
    assert call.protocol == "openai"
    assert call.body["messages"][0]["content"][1]["image_url"]["url"] == IMAGE_URL
    assert [(row["provider"], row["code"]) for row in result["skipped"]] == [("ollama", "images")]
    (row,) = rows(db)
    assert (row["task"], row["cost_nano_usd"]) == ("vision", 2_040_000)
    # 765 tokens of the image, 93 bytes of the text and its frame, and the cap of the answer.
    most = 2_500 * (765 + len("What is this?") + PER_MESSAGE + PER_REQUEST) + 10_000 * 1_024
    assert row["hold_nano_usd"] == most, "the most that this image can cost was reserved"

    spenders = (router.ainvoke({"messages": [PICTURE]}) for _ in range(5))
    results = await asyncio.gather(*spenders, return_exceptions=True)
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 4
    assert_sound(db)


async def test_openai_is_really_called(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Fault.status(404))
    server.script("dashscope", Fault.status(403))
    server.script("openai", Reply("Paris"))

    result = await open_router(make_config(server, db)).ainvoke(ask("Capital?"))

    (call,) = server.calls("openai")
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer sk-loopback-secret"
    assert call.body["model"] == "gpt-4o"
    assert call.body["max_tokens"] == 1024
    assert call.body["messages"][0]["content"] == "Capital?"
    assert result["messages"][-1].text == "Paris"


def test_a_hundred_and_fifty_sync_calls_at_once_all_return(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("Paris"))
    router = open_router(make_config(server, db))

    with ThreadPoolExecutor(150) as threads:
        results = list(threads.map(lambda _: router.invoke(ask()), range(150), timeout=60))

    assert {result["messages"][-1].text for result in results} == {"Paris"}
    assert len(rows(db)) == len(server.calls()) == 150


async def test_asking_for_prices_and_reports_changes_nothing(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", DIME)
    row = provider(server, "openai", **flat_price("0.1"))
    config = make_config(server, db, providers=[row], budgets={"total": "5"})
    await open_router(config).ainvoke(ask())
    before = rows(db), read(db, "SELECT * FROM totals")
    ledger = create_ledger(config)
    price = create_provider(ProviderSpec.model_validate(row), source="").price

    assert len({price(TokenUsage(10, 1)) for _ in range(10)}) == 1
    reports = [
        (await ledger.budgets(), await ledger.report("provider", first_day="0", end_day="9"))
        for _ in range(10)
    ]

    assert all(report == reports[0] for report in reports)
    assert reports[0][0][0].spent_nano_usd == DOLLAR // 10
    assert (rows(db), read(db, "SELECT * FROM totals")) == before


async def test_ten_dimes_are_a_dollar(server: LoopbackServer, db: Path) -> None:
    server.always("openai", DIME)
    row = provider(server, "openai", **flat_price("0.1"))
    config = make_config(server, db, providers=[row], budgets={"total": "1"})
    router = open_router(config)

    await asyncio.gather(*(router.ainvoke(ask()) for _ in range(10)))

    assert spent(db) == DOLLAR
    with pytest.raises(BudgetExceededError):
        await router.ainvoke(ask())


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("stream_mode", ["values", "messages"])
@pytest.mark.parametrize("event", ["on_llm_end", "on_llm_new_token", "on_chain_end"])
def test_a_callback_that_raises_cannot_buy_a_second_answer(
    server: LoopbackServer, db: Path, event: str, stream_mode: Any, inline: bool
) -> None:
    for kind in KINDS:
        server.always(kind, Reply("It is Paris.", input_tokens=40, output_tokens=5))
    chain = [provider(server, kind) for kind in ("openai", "dashscope", "ollama")]
    router = open_router(make_config(server, db, providers=chain))

    async def consume() -> None:
        config: Any = {"callbacks": [Raising(event, inline=inline)]}
        async for _ in router.astream(ask(), config, stream_mode=stream_mode):
            pass

    with suppress(ZeroDivisionError):
        asyncio.run(consume())

    eventually(lambda: settled(db), goal="every hold settled")
    assert len(server.calls()) <= 1
    assert_one_row_per_call(db, server.calls())
    assert all(row["cost_nano_usd"] > 0 for row in made(db))
    assert_sound(db)


@each_kind
async def test_a_consumer_that_raises_cannot_buy_a_second_answer(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, Reply("It is Paris.", chunk_interval_s=0.05))
    for other in KINDS:
        server.always(other, Reply("It is Paris.", chunk_interval_s=0.05))
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    chain = [provider(server, name, price=price) for name in sorted(KINDS, key=kind.__ne__)]
    router = open_router(make_config(server, db, providers=chain))

    async def consume() -> None:
        async for chunk, _ in router.astream(ask(), stream_mode="messages"):
            if chunk.text:
                raise ZeroDivisionError("consumer")

    with pytest.raises(ZeroDivisionError):
        await consume()

    await dust_settles(db)
    assert [call.protocol for call in server.calls()] == [kind]
    (row,) = rows(db)
    assert row["cost_nano_usd"] > 0
    assert_sound(db)


@each_kind
async def test_the_capital_is_not_announced_twice(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    first, second = sorted(KINDS, key=kind.__ne__)[:2]
    server.script(first, Fault.stream_error(Reply("The capital is Paris"), after_chunks=2))
    server.script(second, Reply("The capital is Paris"))
    chain = [provider(server, name) for name in (first, second)]
    router = open_router(make_config(server, db, providers=chain))

    spoken: list[str] = []
    dead: list[str] = []
    async for mode, part in router.astream(ask(), stream_mode=["messages", "custom"]):
        if mode == "custom" and part["event"] == "attempt_discarded":
            dead.append("".join(spoken))
            spoken.clear()
        elif mode == "messages":
            spoken.append(part[0].text)

    assert dead == ["The capital "]
    assert "".join(spoken) == "The capital is Paris"


async def test_two_routers_in_one_process_share_no_hidden_settings(
    server: LoopbackServer, tmp_path: Path
) -> None:
    server.always("ollama", Reply("local"))
    server.always("openai", Reply("cloud"))
    configs = [
        make_config(server, tmp_path / f"{kind}.db", providers=[provider(server, kind)])
        for kind in ("ollama", "openai")
    ]
    local, cloud = (open_router(config) for config in configs)

    answers = await asyncio.gather(local.ainvoke(ask()), cloud.ainvoke(ask()))

    assert [answer["messages"][-1].text for answer in answers] == ["local", "cloud"]
    assert [len(rows(tmp_path / f"{kind}.db")) for kind in ("ollama", "openai")] == [1, 1]


async def test_a_key_that_is_not_there_is_named_and_nothing_pretends_to_answer(
    server: LoopbackServer, db: Path
) -> None:
    config = make_config(server, db, providers=[provider(server, "openai")])

    with pytest.raises(NoProviderError, match="LOOPBACK_KEY is not set"):
        await open_router(config, environ={}).ainvoke(ask())

    assert server.calls() == ()


@pytest.mark.parametrize("section", [{"fallback": {"chain": []}}, {"ledger": {"reset_day": 1}}])
def test_a_setting_that_nobody_reads_is_refused(section: Any) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        RouterConfig.model_validate(section)


def test_a_typo_in_the_name_of_a_budget_does_not_remove_the_limit(
    server: LoopbackServer, db: Path
) -> None:
    with pytest.raises(ValidationError, match="no provider is named 'opnai'"):
        make_config(server, db, budgets={"provider:opnai": "5"})


async def test_without_a_ledger_nobody_is_asked(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    config = make_config(server, tmp_path / "file" / "costs.db")
    with pytest.raises(LedgerError, match="cannot be made"):
        await create_router(config).ainvoke(ask())

    assert server.calls() == ()
