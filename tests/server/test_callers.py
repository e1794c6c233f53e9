"""What a key says of its caller is a floor: budgets, sensitivity and user cannot be lowered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_graph.testing import Reply
from tests.contract.ledger_store import Store
from tests.server.apps import made_key
from tests.server.served import Served, serving

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "?"}]}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as running:
        running.provider.always("openai", Reply("yes", input_tokens=10, output_tokens=5))
        yield running


async def ask(
    served: Served, key: str, *, metadata: dict[str, Any] | None = None, **headers: str
) -> httpx.Response:
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(
            f"{served.openai_url}/chat/completions",
            json=CHAT | ({} if metadata is None else {"metadata": metadata}),
            headers={"authorization": f"Bearer {key}", **headers},
        )


async def test_the_strictest_level_counts(served: Served) -> None:
    key = await made_key(served.app, sensitivity="confidential")
    for metadata, headers in [
        ({}, {}),
        ({"sensitivity": "public"}, {}),
        ({}, {"x_aegis_sensitivity": "public"}),
        ({"sensitivity": "pii"}, {"x_aegis_sensitivity": "public"}),
    ]:
        answer = await ask(served, key, metadata=metadata, **headers)
        assert answer.json()["aegis"]["provider"] == "here"
    levels = [row["sensitivity"] for row in served.rows()]
    assert levels == ["confidential", "confidential", "confidential", "pii"]


@pytest.mark.parametrize("levels", [("pii", "public"), ("public", "pii")])
async def test_of_what_one_place_says_twice_the_strictest_counts(
    served: Served, levels: tuple[str, str]
) -> None:
    url, (first, second) = f"{served.openai_url}/chat/completions", levels
    header = "x-aegis-sensitivity"
    twice = {"metadata": {"sensitivity": first, "aegis_sensitivity": second}}
    async with httpx.AsyncClient(timeout=60) as client:
        for answer in (
            await client.post(url, json=CHAT, headers=[(header, first), (header, second)]),
            await client.post(url, json=CHAT | twice),
        ):
            assert answer.json()["aegis"]["provider"] == "here"
    assert [row["sensitivity"] for row in served.rows()] == ["pii", "pii"]


async def test_calls_count_for_the_user_of_the_key(served: Served) -> None:
    key = await made_key(served.app, user="ada")
    assert (await ask(served, key)).status_code == 200
    assert (await ask(served, key, metadata={"user": "ada"})).status_code == 200
    for answer in (
        await ask(served, key, metadata={"user": "bob"}),
        await ask(served, key, x_aegis_user="bob"),
    ):
        assert answer.status_code == 400
        assert "calls as 'ada'" in answer.json()["error"]["message"]
    admin = await made_key(served.app, "boss", role="admin", user="root")
    assert (await ask(served, admin, x_aegis_user="bob")).status_code == 200
    rows = served.rows()
    assert [row["user_id"] for row in rows] == ["ada", "ada", "bob"]
    assert [row["tags"] for row in rows] == ['{"api_key": "app"}'] * 2 + ['{"api_key": "boss"}']


async def test_what_a_request_is_part_of_is_recorded(served: Served) -> None:
    key = await made_key(served.app)
    answer = await ask(
        served,
        key,
        metadata={"task": "answer", "run_id": "r1", "thread_id": "t1", "other": "of the caller"},
        x_aegis_tags="team=search, env=live",
        x_aegis_max_cost_usd="0.01",
    )
    assert answer.status_code == 200
    (row,) = served.rows()
    assert (row["task"], row["run_id"], row["thread_id"]) == ("answer", "r1", "t1")
    assert row["tags"] == '{"api_key": "app", "env": "live", "team": "search"}'


async def test_an_envelope_without_a_run_is_that_of_the_request(served: Served) -> None:
    key = await made_key(served.app)
    refused = await ask(served, key, x_aegis_max_cost_usd="0", x_aegis_providers="first")
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert (await ask(served, key, x_aegis_max_cost_usd="1")).status_code == 200


async def test_a_budget_of_a_key_holds_under_many_calls_at_once(served: Served) -> None:
    key, other = await made_key(served.app), await made_key(served.app, "other")
    ledger = served.app.state.services.ledger
    # A hold is at most 0.000211 USD here: of 100 output tokens at 2 USD a million, and the prompt.
    await ledger.set_budget("tag:api_key=app", "month", Decimal("0.001"))
    answers = await asyncio.gather(
        *(ask(served, key, x_aegis_providers="first") for _ in range(60))
    )
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 402}
    spent = sum(row["cost_nano_usd"] for row in served.rows())
    assert spent <= 1_000_000
    assert (await ask(served, other, x_aegis_providers="first")).status_code == 200


async def test_a_key_works_on_every_store(store: Store, tmp_path: Path) -> None:
    with serving(tmp_path, ledger={"url": store.url}) as running:
        running.provider.always("openai", Reply("yes"))
        key = await made_key(running.app, sensitivity="internal")
        assert (await ask(running, key)).status_code == 200
        assert (await ask(running, "sk-aegis-wrong")).status_code == 401
        (row,) = store.rows()
        assert (row["user_id"], row["status"]) == ("ada", "answered")
        used = store.query("SELECT last_used_at FROM api_keys")
        assert used[0]["last_used_at"]
        reader = await made_key(running.app, "reader", role="read")
        async with httpx.AsyncClient(base_url=running.url) as client:
            # A key for calls opens no page.
            assert (await client.post("/login", data={"key": key})).status_code == 401
            assert (await client.post("/login", data={"key": reader})).status_code == 303
            assert (await client.get("/")).status_code == 200
