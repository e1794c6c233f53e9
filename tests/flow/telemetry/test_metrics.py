"""Metrics: what they say agrees with the ledger, and none of them names a user."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import KEYS, ask, make_config, open_router, provider, rows
from tests.flow.telemetry.otel_support import points, sdk, total

USAGE = "gen_ai.client.inference.usage"
PARIS = Reply(
    "It is Paris.", input_tokens=100, output_tokens=30, cached_input_tokens=40, reasoning_tokens=7
)


@pytest.fixture(autouse=True)
def _sdk() -> None:
    sdk()


def test_tokens_time_and_cost_are_those_of_the_ledger(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Fault.status(500))
    server.always("openai", PARIS)
    names = {"ollama": "ollama_m", "openai": "openai_m"}
    chain = [provider(server, kind, name=name, max_retries=0) for kind, name in names.items()]
    router = open_router(make_config(server, db, providers=chain))
    for number in range(3):
        router.invoke(ask(user_id=f"user-{number}"))
    made = [row for row in rows(db) if row["provider"] == "openai_m"]
    for metric, column in {
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "cache_read.input_tokens": "cached_input_tokens",
        "reasoning.output_tokens": "reasoning_tokens",
    }.items():
        found = total(f"{USAGE}.{metric}", aegis__provider="openai_m")
        assert found == sum(row[column] for row in made) > 0
    cost = total("aegis.cost", aegis__provider="openai_m")
    assert cost == sum(row["cost_nano_usd"] for row in made) > 0
    lost = {"aegis__provider": "ollama_m", "error__type": "ProviderUnavailableError"}
    durations = [
        point.count
        for point in points("gen_ai.client.inference.duration")
        if isinstance(point, HistogramDataPoint)
        and (point.attributes or {}).get("aegis.provider") in names.values()
    ]
    assert sum(durations) == len(rows(db))
    assert total("gen_ai.client.inference.duration", **lost) > 0
    # A call without a usage is a 0 of an unknown kind.
    unknown = {"aegis__provider": "ollama_m", "gen_ai__token__modality": "unknown"}
    assert total(f"{USAGE}.input_tokens", **unknown) == 0
    assert "user-1" not in str([points(name) for name in (f"{USAGE}.input_tokens", "aegis.cost")])


def test_the_first_piece_of_a_stream_is_timed(server: LoopbackServer, db: Path) -> None:
    server.always("openai", PARIS)
    chain = [provider(server, "openai", name="openai_s")]
    router = open_router(make_config(server, db, providers=chain))
    name = "gen_ai.client.inference.time_to_first_chunk"
    router.invoke(ask())
    assert total(name, aegis__provider="openai_s") == 0
    for _ in router.stream(ask(), stream_mode="messages"):
        pass
    assert 0 < total(name, aegis__provider="openai_s") < 60


async def test_the_wait_for_a_slot_is_measured(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Reply("x", latency_s=0.05))
    row = provider(server, "openai", name="openai_q", max_concurrency=1, queue_s=60)
    router = open_router(make_config(server, db, providers=[row]))
    await asyncio.gather(*(router.ainvoke(ask()) for _ in range(3)))
    queued = [
        point
        for point in points("aegis.queue.duration")
        if (point.attributes or {}) == {"aegis.provider": "openai_q"}
    ]
    assert isinstance(queued[0], HistogramDataPoint)
    assert queued[0].sum >= 0.05


def test_the_older_instruments_are_there_for_who_asks(server: LoopbackServer, db: Path) -> None:
    server.always("openai", PARIS)
    chain = [provider(server, "openai", name="openai_o")]
    environ = {**KEYS, "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai/dup"}
    config = make_config(server, db, providers=chain)
    open_router(config, environ=environ).invoke(ask())
    old = {"aegis__provider": "openai_o", "gen_ai__system": "openai"}
    assert total("gen_ai.client.token.usage", gen_ai__token__type="input", **old) == 100
    assert total("gen_ai.client.token.usage", gen_ai__token__type="output", **old) == 30
    assert total("gen_ai.client.operation.duration", **old) > 0
    assert total(f"{USAGE}.input_tokens", aegis__provider="openai_o") == 100
