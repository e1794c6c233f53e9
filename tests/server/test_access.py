"""Who may call which route: without keys programs of this machine, and then their holders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from aegis_graph.ledger.api_keys import Role, revoke_key
from aegis_graph.server.access import PUBLIC
from aegis_graph.server.attempt_limit import MOST_FAILURES, AttemptLimit
from aegis_graph.server.security import HEADERS, MAX_BODY_BYTES
from aegis_graph.server.sessions import COOKIE
from tests.server.apps import LOCALHOST, client_of, made_key, quoting_app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Starlette]:
    made = quoting_app(tmp_path)
    yield made
    made.state.services.ledger.close()


def paths(routes: list[BaseRoute], before: str = "") -> Iterator[tuple[str, str]]:
    """Every route of an app with each of its methods, and something in place of parameters."""
    for route in routes:
        if isinstance(route, Mount):
            yield from paths(list(route.routes), before + route.path)
        elif isinstance(route, Route):
            path = before + route.path_format.replace("{", "").replace("}", "")
            yield from ((method, path) for method in sorted(route.methods or ()))


async def test_every_route_that_is_not_public_wants_a_key(app: Starlette) -> None:
    await made_key(app)
    closed = [one for one in paths(app.routes) if not PUBLIC.fullmatch(one[1])]
    assert len(closed) > 3
    async with client_of(app) as client:
        for method, path in closed:
            answer = await client.request(method, path)
            assert answer.status_code == 401, (method, path)
            if method != "HEAD":
                assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_without_keys_this_machine_alone_is_let_in(app: Starlette) -> None:
    for address, headers, status in [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.7", {}, 401),
        ("not-an-address", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "203.0.113.7"}, 401),
        ("127.0.0.1", {"forwarded": "for=203.0.113.7"}, 401),
    ]:
        async with client_of(app, address=address, **headers) as client:
            answer = await client.get("/v1/models")
            assert answer.status_code == status, (address, headers)


@pytest.mark.parametrize(
    ("role", "statuses"),
    [("call", [200, 403, 403]), ("read", [403, 200, 403]), ("admin", [200, 200, 404])],
)
async def test_a_role_opens_what_it_is_for(app: Starlette, role: Role, statuses: list[int]) -> None:
    key = await made_key(app, role=role)
    async with client_of(app, authorization=f"Bearer {key}") as client:
        answers = [
            await client.get("/v1/models"),
            await client.get("/"),
            await client.post("/budgets-that-are-not-there"),
        ]
    assert [one.status_code for one in answers] == statuses


async def test_a_revoked_key_opens_nothing_and_needs_stay(app: Starlette) -> None:
    key = await made_key(app)
    services = app.state.services
    async with client_of(app, authorization=f"Bearer {key}") as client:
        assert (await client.get("/v1/models")).status_code == 200
        from_here = services.clock()
        await services.ledger.transact(lambda one: revoke_key(one, "app", from_here))
        services.keys.forget()
        assert (await client.get("/v1/models")).status_code == 401
        # The last key's end does not open the door to everybody on this machine.
        del client.headers["authorization"]
        assert (await client.get("/v1/models")).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4000", "", "127.0.0.1@evil.example", "[::1", "a b"]
)
async def test_a_foreign_host_is_refused_with_and_without_keys(app: Starlette, host: str) -> None:
    for with_key in (False, True):
        more = {"authorization": f"Bearer {await made_key(app)}"} if with_key else {}
        async with client_of(app, **more) as client:
            for path in ("/", "/healthz", "/v1/models"):
                answer = await client.get(path, headers={"host": host})
                assert answer.status_code == 421, path


async def test_localhost_and_addresses_are_hosts_of_the_server(app: Starlette) -> None:
    async with client_of(app) as client:
        for host in ("localhost:4000", "LOCALHOST", "127.0.0.1", "[::1]:4000", "192.0.2.1:80"):
            answer = await client.get("/healthz", headers={"host": host})
            assert answer.status_code == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:5000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": LOCALHOST},
        {"cookie": f"{COOKIE}=stolen"},
    ],
)
async def test_a_page_elsewhere_can_post_nothing(app: Starlette, headers: dict[str, str]) -> None:
    async with client_of(app) as client:
        for path in ("/v1/chat/completions", "/login", "/anything"):
            answer = await client.post(path, headers=headers, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")


async def test_what_is_too_large_is_refused_before_it_is_read(app: Starlette) -> None:
    async with client_of(app) as client:
        large = await client.post("/login", content=b"x" * (MAX_BODY_BYTES + 1))
        assert large.status_code == 413
        assert (await client.get("/healthz", headers={"x": "y" * 70_000})).status_code == 431
        many = {f"x-{number}": "y" for number in range(101)}
        assert (await client.get("/healthz", headers=many)).status_code == 431
        assert (await client.get("/" + "a" * 5000)).status_code == 414


async def test_every_answer_says_what_a_browser_may_do_with_it(app: Starlette) -> None:
    async with client_of(app) as client:
        for path in ("/", "/login", "/nothing", "/v1/models", "/readyz"):
            answer = await client.get(path)
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["content-security-policy"]


async def test_a_login_is_a_session_that_ends(app: Starlette) -> None:
    key = await made_key(app, role="read")
    async with client_of(app) as client:
        sent = await client.get("/", headers={"accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/")
        wrong = await client.post("/login", data={"key": "sk-aegis-wrong"})
        assert (wrong.status_code, COOKIE in client.cookies) == (401, False)
        done = await client.post("/login", data={"key": key, "next": "//evil.example/"})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        cookie = done.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await client.get("/")).status_code == 200
        left = dict(client.cookies)
        await client.post("/logout", headers={"origin": LOCALHOST})
        # Also for one who kept the cookie.
        again = await client.get("/", headers={"cookie": f"{COOKIE}={left[COOKIE]}"})
        assert again.status_code == 401


async def test_wrong_keys_are_slowed_down_and_right_ones_are_not(app: Starlette) -> None:
    key = await made_key(app)
    async with client_of(app, authorization="Bearer wrong") as client:
        statuses = [(await client.get("/v1/models")).status_code for _ in range(MOST_FAILURES + 1)]
        assert statuses == [401] * MOST_FAILURES + [429]
        limited = await client.get("/v1/models")
        assert 0 < int(limited.headers["retry-after"]) <= 60
        right = await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        assert right.status_code == 200


def test_the_limit_of_attempts_forgets() -> None:
    now = [0.0]
    limit = AttemptLimit(lambda: now[0])
    waits = [limit.failed("a") for _ in range(MOST_FAILURES + 1)]
    assert waits == [None] * MOST_FAILURES + [60.0]
    assert limit.failed("b") is None
    now[0] = 60.0
    assert limit.failed("a") is None


async def test_health_is_public_and_says_little(app: Starlette) -> None:
    await made_key(app)
    async with client_of(app, address="203.0.113.7") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (
        200,
        {"ledger": "ok", "providers": "ok"},
    )
