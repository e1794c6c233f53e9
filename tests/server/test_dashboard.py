"""The pages: figures are those of ``aegis costs``, for any ledger and whatever stands in it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from aegis_graph import RouterConfig
from aegis_graph.cli import main
from aegis_graph.clock import utc_now
from aegis_graph.ledger.approvals import Approval
from aegis_graph.pricing.money import usd_text
from aegis_graph.server import create_app
from aegis_graph.server.dashboard.view import MAX_HOURS
from tests.contract.ledger_store import USD, Store, failed_request, hold, settlement
from tests.server.apps import LOCALHOST, client_of, made_key, services

PATHS = (
    *("/", "/latency", "/failures", "/requests", "/budgets", "/requests?status=failed"),
    *("/overview.csv", "/requests.csv", "/latency.csv", "/failures.csv", "/raises.csv"),
)
HOSTILE = "<script>alert(1)</script>\"'>{{ 7 * 7 }}=cmd|' /C calc'!A0&#x41;\u202e\n"


def config_of(url: str, **more: Any) -> RouterConfig:
    rows = [
        {"name": name, "kind": "ollama", "model": "m", "location": "local", "price": "free"}
        for name in ("cheap", "dear")
    ]
    return RouterConfig.model_validate({"ledger": {"url": url}, "providers": rows, **more})


@pytest.fixture
async def app(store: Store) -> AsyncIterator[Starlette]:
    """Over both kinds of store; its clock is the store's."""
    limit = {"scope": "total", "window": "month", "limit_usd": "1"}
    made = create_app(config_of(store.url, budgets=[limit]), clock=lambda: store.now, environ={})
    yield made
    services(made).ledger.close()


async def call(app: Starlette, cost: int = 40, **more: Any) -> str:
    names = ("status", "error_type", "latency_ms", "first_token_ms", "cached_input_tokens")
    outcome = {name: more.pop(name) for name in names if name in more}
    ledger = services(app).ledger
    wanted = hold(100, **more)
    made = await ledger.admit([wanted])
    await ledger.settle([settlement(made, cost, **outcome)])
    return wanted.request.route_id


async def get(app: Starlette, path: str, status: int = 200) -> str:
    async with client_of(app) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def words(page: str) -> str:
    """What a page says, without its elements."""
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    text = re.sub(r"</?small>", "", text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("path", PATHS)
async def test_an_empty_ledger_has_pages_and_is_not_made_by_them(
    app: Starlette, store: Store, path: str
) -> None:
    text = await get(app, path)
    if path == "/":
        assert "Nothing was recorded in this time." in text
    assert not (store.folder / "costs.db").exists()


async def test_one_row_is_on_every_page(app: Starlette) -> None:
    route = await call(app, 123_456_789, thread_id="t/1", run_id="r 1", tags='{"team": "search"}')
    page = await get(app, "/")
    assert "$0.123456789" in words(page)
    assert "1 calls" in words(page)
    for path in (f"/requests/{route}", "/threads?id=t%2F1", "/runs?id=r%201", "/requests"):
        assert "$0.123456789" in words(await get(app, path)), path
    request = await get(app, f"/requests/{route}")
    assert 'href="/threads?id=t%2F1"' in request
    assert 'href="/runs?id=r%201"' in request
    assert f'href="/requests/{route}"' in await get(app, "/threads?id=t%2F1")
    assert f'href="/requests/{route}"' in await get(app, "/runs?id=r%201")


async def test_raises_of_budgets_are_listed_with_the_one_who_allowed_them(
    app: Starlette, store: Store
) -> None:
    ledger = services(app).ledger
    assert "Allowed beyond a budget" not in await get(app, "/budgets")
    for question, by in (("q1", "ada"), ("q2", HOSTILE)):
        wanted = hold(USD + 50, route_id=f"route of {question}")
        made = await ledger.admit([wanted], approval=Approval(question, 70, by))
        await ledger.settle([settlement(made, 5)])
        store.now += timedelta(days=31)
    page = await get(app, "/budgets")
    shown = words(page).split("Allowed beyond a budget")[1]
    assert "2026-12-24 12:00:00 total per month" in shown
    assert (
        "2026-11-23 12:00:00 total per month ada route of q1 2026-11-01 over $0.00000007" in shown
    )
    assert shown.index("2026-12-24") < shown.index("2026-11-23")
    assert HOSTILE not in page
    assert 'href="/requests/route%20of%20q1"' in page
    columns, second, first = csv.reader(io.StringIO(await get(app, "/raises.csv")))
    assert columns[5:] == ["raised USD", "approved by", "route_id"]
    assert second[6] == HOSTILE
    assert first == [
        *("2026-11-23T12:00:00.000Z", "total", "total", "month", "2026-11-01"),
        *("0.00000007", "ada", "route of q1"),
    ]


async def test_a_raise_of_the_present_window_stands_at_its_budget(app: Starlette) -> None:
    await services(app).ledger.admit([hold(USD + 50)], approval=Approval("q", 70, "ada"))
    page = words(await get(app, "/budgets"))
    assert "total per month $1.00000007 raised by $0.00000007 spent" in page
    assert "over" not in page.split("Allowed beyond a budget")[1].split("CSV")[0]


async def test_names_from_users_stay_text(app: Starlette) -> None:
    tags = json.dumps({"team": HOSTILE})
    names = {"provider": HOSTILE, "model": HOSTILE, "user": HOSTILE, "task": HOSTILE}
    ids = {"thread_id": HOSTILE, "run_id": HOSTILE}
    route = await call(app, 5, status="failed", error_type=HOSTILE, tags=tags, **names, **ids)
    ledger = services(app).ledger
    await ledger.settle([], failed_request=failed_request(HOSTILE, route_id=route, task=HOSTILE))
    quoted = (
        httpx.QueryParams({"name": HOSTILE}).__str__().removeprefix("name=").replace("+", "%20")
    )
    splits = [f"/?by={by}" for by in ("provider", "model", "task", "user", "run", "tag:team")]
    more = [
        "/failures",
        f"/requests/{route}",
        f"/threads?id={quoted}",
        f"/runs?id={quoted}",
        "/requests",
    ]
    for path in (*splits, *more, f"/?user={quoted}", f"/?tag=team={quoted}&provider={quoted}"):
        page = await get(app, path)
        assert "<script>alert" not in page, path
        assert "49=cmd" not in page, path
        assert HOSTILE.split("\n")[0] in unescape(page), path
    table = await get(app, "/overview.csv?by=tag:team")
    assert [row[0] for row in csv.reader(io.StringIO(table))][1] == HOSTILE
    await call(app, 5, user="=1+1")
    names_file = csv.reader(io.StringIO(await get(app, "/overview.csv?by=user")))
    assert "'=1+1" in [row[0] for row in names_file]


async def test_data_of_a_picture_cannot_leave_its_element(app: Starlette) -> None:
    await call(app, 5, provider="</script><img src=x>")
    page = await get(app, "/")
    data = re.search(r'id="data-spending">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1])["series"][0]["name"] == "</script><img src=x>"


def test_figures_are_those_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aegis.toml"
    file.write_text(
        f'[ledger]\nurl = "sqlite:///{tmp_path}/costs.db"\n'
        '[[providers]]\nname = "cheap"\nkind = "ollama"\nmodel = "m"\n'
        'location = "local"\nprice = "free"\n'
    )
    app = create_app(RouterConfig.load(file), clock=utc_now, environ={})

    async def fill() -> None:
        for number in range(40):
            name = f"user {number % 13}"
            await call(app, 7 + number**3, user=name, tags=f'{{"team": "t{number % 3}"}}')

    asyncio.run(fill())
    for by in ("provider", "user", "task", "model", "tag:team"):
        assert main(["costs", "--by", by, "--json", "--config", str(file)]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        table = csv.DictReader(io.StringIO(asyncio.run(get(app, f"/overview.csv?by={by}"))))
        shown = [(row[by], row["calls"], row["cost USD"]) for row in table]
        assert shown == [(row[by], str(row["calls"]), row["cost_usd"]) for row in rows]
        page = asyncio.run(get(app, f"/?by={by}"))
        whole = sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0)).normalize()
        assert f"${whole:f} for 40 attempts" in words(page)
        for row in rows[:10]:
            assert f"{row['cost_usd']}</td>" in page
    services(app).ledger.close()


async def test_pictures_add_up(app: Starlette, store: Store) -> None:
    for hours in range(30):
        store.now += timedelta(hours=1)
        await call(app, 10 + hours, provider=f"p{hours % 11}", cached_input_tokens=4)
    for query in ("by=provider", "by=provider&step=hour", "by=total&period=all", "step=week"):
        tables = {}
        for name in ("names", "spending", "tokens"):
            text = await get(app, f"/overview.csv?table={name}&{query}")
            tables[name] = [*csv.reader(io.StringIO(text))]
        whole = usd_text(sum(10 + hours for hours in range(30)))
        assert _sum(tables["spending"], -1) == Decimal(whole), query
        assert _sum(tables["names"], -2) == Decimal(whole), query
        assert tables["tokens"][0][1:5] == ["fresh input", "cache read", "cache write", "output"]
        assert [_sum(tables["tokens"], at) for at in range(1, 6)] == [90, 120, 0, 90, 300]


def _sum(table: list[list[str]], at: int) -> Decimal:
    return sum((Decimal(row[at]) for row in table[1:]), Decimal(0))


async def test_what_costs_little_is_drawn_together(app: Starlette) -> None:
    for number in range(12):
        await call(app, 100 - number, provider=f"p{number:02}")
    table = csv.reader(io.StringIO(await get(app, "/overview.csv?table=spending")))
    assert next(table) == ["time", *(f"p{number:02}" for number in range(7)), "5 others", "all"]


async def test_a_filter_is_in_the_address_and_in_every_link(app: Starlette) -> None:
    await call(app, 30, user="ada & co", provider="dear")
    await call(app, 4, user="bob")
    page = await get(app, "/?user=ada+%26+co&period=30-days&by=model")
    assert "$0.00000003 for 1 attempts" in words(page)
    assert "period=30-days&amp;by=model&amp;step=day&amp;user=ada+%26+co" in page
    assert 'value="ada &amp; co"' in page
    assert "$0.00000003" in words(await get(app, "/requests?user=ada+%26+co"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("period=never", "period: 'never' is none of"),
        ("by=moon", "by: 'moon' is none of"),
        ("step=second", "step: 'second' is none of"),
        ("from=yesterday", "from: 'yesterday' is not a day"),
        ("from=2026-11-20&to=2026-11-19", "this day is after the last one"),
        ("to=9999-12-31", "no ledger has the day"),
        ("tag=search", "write KEY=VALUE"),
        ("user=%00", "a filter has at most 300 characters"),
        (f"user={'x' * 301}", "a filter has at most 300 characters"),
        ("before=-1", "before: this is no number"),
    ],
)
async def test_a_wrong_address_is_one_line(app: Starlette, query: str, says: str) -> None:
    path = "/requests" if query.startswith("before") else "/"
    assert says in words(await get(app, f"{path}?{query}", 400))


async def test_what_is_not_there_is_said(app: Starlette) -> None:
    for path in ("/requests/none", "/threads?id=none", "/runs?id=none", "/runs", "/requests/%00"):
        await get(app, path, 404)
    assert "table: 'x' is none of" in words(await get(app, "/overview.csv?table=x", 400))


async def test_hours_of_many_days_become_days(app: Starlette, store: Store) -> None:
    await call(app)
    page = await get(app, "/?from=2026-10-01&to=2026-11-23&step=hour")
    assert "<option selected>day</option>" in page
    week = await get(app, "/overview.csv?table=spending&period=week&step=hour")
    assert 1 < len(week.splitlines()) <= MAX_HOURS + 1


async def test_the_last_requests_come_page_by_page(app: Starlette) -> None:
    for _ in range(60):
        await call(app)
    page = await get(app, "/requests")
    older = re.search(r'href="(/requests\?[^"]*before=\d+)"', page)
    assert older is not None
    assert page.count('<th scope="row"') == 50
    rest = await get(app, unescape(older[1]))
    assert rest.count('<th scope="row"') == 10


async def test_a_route_is_drawn_with_every_attempt(app: Starlette) -> None:
    route = await call(app, 3, status="failed", error_type="RateLimitError")
    await call(app, 9, route_id=route, attempt=2, provider="dear")
    page = await get(app, f"/requests/{route}")
    label = "admitted; attempt 1 at cheap: RateLimitError; attempt 2 at dear: answered"
    assert f'aria-label="{label}; in the end: answered"' in page
    assert page.count("<article") == 2
    assert "$0.000000012" in words(page)


async def test_the_first_token_is_shown_where_it_is_known(app: Starlette) -> None:
    await call(app)
    assert "Until the first token" not in await get(app, "/latency")
    route = await call(app, latency_ms=90, first_token_ms=12)
    assert "Until the first token" in await get(app, "/latency")
    rows = [*csv.reader(io.StringIO(await get(app, "/latency.csv")))]
    assert rows[1:] == [
        ["cheap", "the whole answer", "5", "90", "90"],
        ["cheap", "the first token", "12", "12", "12"],
    ]
    assert "12 ms" in words(await get(app, f"/requests/{route}"))


async def test_failures_are_on_a_page_by_reason(app: Starlette) -> None:
    route = await call(app, 3, status="failed", error_type="RateLimitError")
    await call(app, 9, route_id=route, attempt=2, provider="dear")
    await services(app).ledger.settle([], failed_request=failed_request("no money"))
    page = await get(app, "/failures")
    assert "RateLimitError" in page
    assert "NoProviderError" in page
    assert [*csv.reader(io.StringIO(await get(app, "/failures.csv")))][1:] == [
        ["attempt", "RateLimitError", "1", "1", "0.000000003"],
        ["request", "NoProviderError", "1", "0", "0"],
    ]
    link = re.search(r'href="(/requests\?[^"]*error=RateLimitError)"', page)
    assert link is not None
    assert (await get(app, unescape(link[1]))).count('<th scope="row"') == 1


async def test_a_month_has_a_budget_and_a_forecast(app: Starlette, store: Store) -> None:
    now = store.now
    for back in range(7, 0, -1):
        store.now = now - timedelta(days=back)
        await call(app, 24_000)
    store.now = now
    page = words(await get(app, "/"))
    assert "$0.000168 of $1.00, $0.999832 left" in page
    # Seven and a half days of 24,000 are still to come.
    assert "$0.000348 to the month's end" in page


async def test_a_ledger_that_cannot_be_read_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "costs.db").write_text("no database, but longer than a header " * 9)
    app = create_app(config_of(f"sqlite:///{tmp_path}/costs.db"), environ={})
    page = await get(app, "/", 503)
    assert str(tmp_path) not in page


async def test_every_link_is_below_where_the_app_is_mounted(app: Starlette) -> None:
    await call(app, thread_id="t")
    outer = Starlette(routes=[Mount("/aegis", app=app)])
    transport = httpx.ASGITransport(app=outer, client=("127.0.0.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url=LOCALHOST) as client:
        for path in ("/", "/requests", "/budgets", "/threads?id=t"):
            page = (await client.get(f"/aegis{path}")).text
            links = re.findall(r'(?:href|src|action|hx-get|data-live)="([^"#]+)"', page)
            assert links
            assert all(one.startswith(("/aegis/", "?")) for one in links), links
        style = await client.get("/aegis/static/dashboard.css")
    assert style.status_code == 200
    assert "max-age" in style.headers["cache-control"]


async def test_nothing_in_a_page_is_inline_or_from_elsewhere(app: Starlette) -> None:
    route = await call(app, thread_id="t")
    for path in (*PATHS[:6], f"/requests/{route}", "/threads?id=t"):
        page = await get(app, path)
        assert not re.search(r"\sstyle=|<style|\son\w+=|https?://", page), path
        assert not re.search(r"<script(?![^>]*(?: src=| type=\"application/json\"))", page), path


async def test_callers_see_pages_by_their_role(app: Starlette) -> None:
    route = await call(app, user="ada")
    reader = await made_key(app, "reader", role="read")
    calling = await made_key(app, "calling", role="call")
    for path in (*PATHS, f"/requests/{route}", "/threads?id=x", "/events", "/savings"):
        async with client_of(app, address="203.0.113.5") as stranger:
            assert (await stranger.get(path)).status_code == 401, path
        async with client_of(app, authorization=f"Bearer {calling}") as client:
            assert (await client.get(path)).status_code == 403, path
    async with client_of(app, authorization=f"Bearer {reader}") as client:
        assert "ada" in (await client.get("/requests")).text


async def test_days_are_those_of_the_ledgers_zone(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    config = config_of(f"sqlite:///{tmp_path}/costs.db").model_dump()
    config["ledger"]["timezone"] = "Asia/Kolkata"
    app = create_app(RouterConfig.model_validate(config), clock=lambda: now, environ={})
    await call(app, 5)
    hours = [*csv.reader(io.StringIO(await get(app, "/overview.csv?table=spending&period=today")))]
    # Half an hour from UTC's: the hour that begins at 04:30 has the call of 05:00.
    assert hours[-1] == ["2026-11-23 04:30", "0.000000005", "0.000000005"]
    services(app).ledger.close()
