"""Changing a budget on a page: an admin, a confirmation, and a form of the page's own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from aegis_graph.ledger.api_keys import Role
from tests.server.apps import LOCALHOST, client_of, made_key, quoting_app, services

CHANGE = {"scope": "total", "window": "month", "limit": "12.5", "confirmed": "yes"}
ORIGIN = {"origin": LOCALHOST}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    made = quoting_app(tmp_path)
    yield made
    services(made).ledger.close()


async def limits(app: Starlette) -> dict[str, int]:
    return {one.scope: one.limit_nano_usd for one in await services(app).ledger.budgets()}


@asynccontextmanager
async def logged_in(app: Starlette, role: Role) -> AsyncIterator[httpx.AsyncClient]:
    key = await made_key(app, role, role=role)
    async with client_of(app) as client:
        form = {"key": key, "next": "/budgets"}
        assert (await client.post("/login", data=form, headers=ORIGIN)).status_code == 303
        yield client


async def test_an_admin_is_asked_once_more_and_then_it_is_changed(app: Starlette) -> None:
    async with logged_in(app, "admin") as client:
        assert 'action="/budgets/change"' in (await client.get("/budgets")).text
        asked = {name: value for name, value in CHANGE.items() if name != "confirmed"}
        page = (await client.get("/budgets/change", params=asked)).text
        assert "Change total per month?" in page
        assert await limits(app) == {}
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        answer = await client.post(
            "/budgets/change",
            data={name: unescape(value) for name, value in fields.items()},
            headers=ORIGIN,
        )
        assert answer.status_code == 303
        done = await client.get(answer.headers["location"])
        assert "The budget was changed" in done.text
    assert await limits(app) == {"total": 12_500_000_000}


async def test_a_limit_is_taken_away(app: Starlette) -> None:
    async with client_of(app) as client:
        for limit, left in (("0", {"total": 0}), ("remove", {})):
            await client.post("/budgets/change", data={**CHANGE, "limit": limit})
            assert await limits(app) == left


async def test_a_form_of_elsewhere_changes_nothing(app: Starlette) -> None:
    async with logged_in(app, "admin") as client:
        for data, headers in (
            (CHANGE, ORIGIN),
            ({**CHANGE, "csrf_token": "0" * 64}, ORIGIN),
            (CHANGE, {"origin": "https://elsewhere.example"}),
            (CHANGE, {}),
        ):
            answer = await client.post("/budgets/change", data=data, headers=headers)
            assert answer.status_code == 403
    assert await limits(app) == {}


async def test_a_reader_changes_nothing_and_sees_no_form(app: Starlette) -> None:
    async with logged_in(app, "read") as client:
        page = (await client.get("/budgets")).text
        assert "An admin&#39;s key" in page or "An admin's key" in page
        assert "<form" not in page.split("<main", 1)[1]
        assert (await client.get("/budgets/change", params=CHANGE)).status_code == 403
        answer = await client.post("/budgets/change", data=CHANGE, headers=ORIGIN)
        assert answer.status_code == 403
    assert await limits(app) == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"confirmed": ""}, "the change was not confirmed"),
        ({"scope": ""}, "a budget has a scope, a window and a limit"),
        ({"window": "year"}, "a budget has a scope, a window and a limit"),
        ({"limit": "much"}, "is not an amount in USD"),
        ({"limit": "-1"}, "is not an amount from 0 to"),
        ({"limit": "NaN"}, "is not an amount from 0 to"),
        ({"scope": "provider:typo"}, "no provider is named"),
        ({"scope": "moon"}, "budget scope"),
        ({"scope": "x" * 301}, "a budget has a scope, a window and a limit"),
    ],
)
async def test_what_is_no_budget_is_one_line(
    app: Starlette, change: dict[str, str], says: str
) -> None:
    async with client_of(app) as client:
        answer = await client.post("/budgets/change", data={**CHANGE, **change})
    assert answer.status_code == 400
    assert says in unescape(answer.text)
    assert await limits(app) == {}


async def test_a_limit_below_what_is_spent_is_said_before(app: Starlette) -> None:
    async with client_of(app) as client:
        await client.post("/budgets/change", data={**CHANGE, "limit": "1"})
        less = await client.get("/budgets/change", params={**CHANGE, "limit": "0"})
        more = await client.get("/budgets/change", params={**CHANGE, "limit": "2"})
    assert "$1.00" in less.text
    for page in (less, more):
        assert "More than that is spent" not in page.text
