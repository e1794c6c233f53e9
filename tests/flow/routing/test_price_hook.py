"""Prices that the application gives: for the reservation and for the settlement alike."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import PriceSpec, ProviderSpec, RouterHandle, create_embeddings
from aegis_graph.components.model_chain import provider_specs
from aegis_graph.errors import BudgetExceededError, ConfigError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
)
from tests.flow.test_embeddings import embedder

PER_TOKEN = 1_000_000


def usd_per_token(usd: str) -> PriceSpec:
    per_mtok = Decimal(usd) * PER_TOKEN
    return PriceSpec(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=per_mtok)


def costs(db: Path) -> list[tuple[int, int]]:
    return [(row["hold_nano_usd"], row["cost_nano_usd"]) for row in rows(db)]


def one_row(server: LoopbackServer, db: Path, **more: Any) -> Any:
    server.always("openai", Reply("x", input_tokens=0, output_tokens=1))
    return make_config(
        server, db, providers=[provider(server, "openai", **flat_price("1"))], **more
    )


@pytest.mark.parametrize(
    ("given", "nano_usd"),
    [(usd_per_token("3"), 3_000_000_000), ("free", 0), (None, 1_000_000_000)],
)
async def test_it_holds_and_settles_by_the_price_it_gives(
    server: LoopbackServer, db: Path, given: Any, nano_usd: int
) -> None:
    asked: list[ProviderSpec] = []

    def price(row: ProviderSpec) -> Any:
        asked.append(row)
        return given

    config = one_row(server, db)
    router = open_router(config, price=price)
    for _ in range(2):
        await router.ainvoke(ask())
    assert costs(db) == [(nano_usd, nano_usd)] * 2
    # Once, when the router was built.
    assert asked == list(config.providers)
    assert_sound(db)


async def test_a_model_that_no_price_book_knows_needs_no_price_in_the_file(
    server: LoopbackServer, db: Path
) -> None:
    row = provider(server, "openai", model="our-own", price=None, max_output_tokens=1)
    config = make_config(server, db, providers=[row])
    with pytest.raises(ConfigError, match="no price is known"):
        open_router(config)
    server.always("openai", Reply("x", input_tokens=0, output_tokens=1))
    await open_router(config, price=lambda row: usd_per_token("2")).ainvoke(ask())
    assert costs(db) == [(2_000_000_000, 2_000_000_000)]


async def test_budgets_count_by_it(server: LoopbackServer, db: Path) -> None:
    router = open_router(
        one_row(server, db, budgets={"total": "5"}), price=lambda row: usd_per_token("3")
    )
    await router.ainvoke(ask())
    with pytest.raises(BudgetExceededError):
        await router.ainvoke(ask())
    assert costs(db) == [(3_000_000_000, 3_000_000_000)]


async def later(row: ProviderSpec) -> None:
    return None


def fail(row: ProviderSpec) -> None:
    raise KeyError(row.model)


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        (lambda row: 3.5, "returned float; return a PriceSpec, 'free' or None"),
        (lambda row: "cheap", "returned str"),
        (later, "returned coroutine"),
        (fail, "failed: KeyError"),
    ],
)
def test_what_is_no_price_is_refused_when_the_router_is_built(
    server: LoopbackServer, db: Path, price: Any, problem: str
) -> None:
    with pytest.raises(ConfigError, match=r"providers\.openai\.price: the price function") as error:
        open_router(one_row(server, db), price=price)
    assert problem in str(error.value)


async def test_a_handle_asks_again_at_each_reload(server: LoopbackServer, db: Path) -> None:
    table: dict[str, Any] = {"openai": usd_per_token("1")}
    config = one_row(server, db)
    handle = RouterHandle(config, environ=KEYS, price=lambda row: table[row.name])
    await handle.ainvoke(ask())
    before = provider_specs(handle)
    handle.reload(config)
    assert provider_specs(handle)[0] is before[0]
    table["openai"] = usd_per_token("2")
    handle.reload(config)
    await handle.ainvoke(ask())
    table.clear()
    with pytest.raises(ConfigError, match="failed: KeyError"):
        handle.reload(config)
    await handle.ainvoke(ask())
    assert costs(db) == [(usd, usd) for usd in (10**9, 2 * 10**9, 2 * 10**9)]


@pytest.mark.parametrize("build", [open_router, partial(RouterHandle, environ=KEYS)])
def test_a_row_that_is_switched_off_is_not_asked_about(
    server: LoopbackServer, db: Path, build: Any
) -> None:
    asked: list[str] = []
    off = provider(server, "dashscope", enabled=False)
    config = make_config(server, db, providers=[provider(server, "openai"), off])
    build(config, price=lambda row: asked.append(row.name))
    assert asked == ["openai"]


async def test_embeddings_are_priced_by_it(server: LoopbackServer, db: Path) -> None:
    row = embedder(server, "dashscope", dimensions=1024)
    config = make_config(server, db, embeddings=[row])
    spec = PriceSpec(input_usd_per_mtok=Decimal(PER_TOKEN), output_usd_per_mtok=Decimal(0))
    await create_embeddings(config, environ=KEYS, price=lambda row: spec).aembed_query("Ada")
    assert [row["cost_nano_usd"] for row in rows(db)] == [1_000_000_000]
