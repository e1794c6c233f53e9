"""What strangers send: the server answers no 500, leaks nothing, and bounds everything."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.internal.conjecture.utils import many
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.exceptions import HTTPException

from aegis_graph.server.bounded_http import BoundedHttp
from aegis_graph.server.endpoint.connection import EventStream
from aegis_graph.server.security import MAX_BODY_BYTES, bounded
from aegis_graph.testing import Reply
from tests.server.apps import quoting_app
from tests.server.served import Served, on_port, serving


def _more(elements: Any) -> bool:
    if elements._depth is None:
        elements.steps = iter(elements.__enter__())
    return next(elements.steps, elements) is None


# hypothesis-jsonschema, behind schemathesis, asks in a way that newer versions of hypothesis lack.
if not hasattr(many, "more"):
    many.more = _more  # type: ignore[attr-defined]  # as it was

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
OPERATIONS = [
    *(
        ("post", f"/v1/{name}", NEGATIVE)
        for name in ("chat/completions", "responses", "embeddings")
    ),
    *(
        ("post", f"/v1/{name}", POSITIVE)
        for name in ("chat/completions", "responses", "embeddings")
    ),
    ("get", "/v1/models", POSITIVE),
    ("get", "/v1/models/{name}", POSITIVE),
]
EXAMPLES = 15


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("strangers")) as served:
        served.provider.always("openai", Reply("yes"))
        yield served


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_a_scanner_finds_no_fault(
    running: Served, method: str, path: str, mode: schemathesis.GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(httpx.get(f"{running.url}/openapi.json").json())
    schema.config.update(base_url=running.url)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def scan(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    scan()


# Through no client, which would send none of this.
def exchange(served: Served, request: bytes, *, rest: bytes = b"") -> bytes:
    """What the server says to bytes."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        # A server that has said why reads no more.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
            connection.sendall(rest)
        answer = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


HOST = b"Host: 127.0.0.1\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", {400, 421}),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + HOST + b"\r\n", {400, 421}),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", {421}),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
        (b"GET /static/../../../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
        (b"GET /static/%2e%2e%2f%2e%2e%2fapp.py HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
        (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"GET /%ff%fe HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"GET /login?next=%0d%0aSet-Cookie:a=b HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 100_000 + b"\r\n\r\n", {400, 431}),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 200 + b"\r\n", {400, 431}),
        (b"POST /v1/embeddings HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", {400}),
        (b"POST /v1/embeddings HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999\r\n\r\n", {413}),
        (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", {404, 405}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {0, 400}),
    ],
    ids=range(15),
)
def test_broken_requests_are_refused(
    running: Served, request_bytes: bytes, statuses: set[int]
) -> None:
    answer = exchange(running, request_bytes + b"\r\n" * request_bytes.startswith(b"\x16"))
    assert status_of(answer) in statuses, answer[:300]
    assert b"Traceback" not in answer
    assert b"root:" not in answer
    assert b"\r\nset-cookie: a=b" not in answer.lower()


def test_a_large_body_in_pieces_is_cut_off(running: Served) -> None:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n" + HOST + b"\r\n"
    )
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    answer = exchange(running, head, rest=piece * (MAX_BODY_BYTES // 0x100000 + 2))
    assert status_of(answer) == 413


def test_ten_megabytes_of_prompt_get_an_answer_of_one_line(running: Served) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "a" * 10_000_000}]}
    answer = httpx.post(f"{running.openai_url}/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert len(answer.content) < 1000


async def test_a_slow_body_is_given_up() -> None:
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {}

    with pytest.raises(HTTPException) as refused:
        await bounded(receive, timeout_s=0.01)()
    assert refused.value.status_code == 408


async def test_a_hang_up_in_a_stream_is_no_error_and_ends_its_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def receive() -> dict[str, Any]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            begun.set()

    await EventStream(events(), {})({"type": "http"}, receive, send)
    assert ended.is_set()


class Impatient(BoundedHttp):
    headers_s = 0.05


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0"])
@pytest.mark.parametrize("answered_before", [False, True])
def test_headers_that_do_not_come_are_given_up(
    tmp_path: Path, begun: bytes, answered_before: bool
) -> None:
    with (
        on_port(quoting_app(tmp_path), http=Impatient) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
    ):
        if answered_before:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(65536)
            # Without a byte of the next request, it is uvicorn's own time that counts.
            begun = begun or b"G"
        connection.sendall(begun)
        assert connection.recv(65536) == b""


def test_a_refusal_names_no_path_and_no_key(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.provider.always("openai", Reply("yes"))
        # The ledger goes away while the server runs.
        assert ask(served).status_code == 200
        for file in tmp_path.glob("costs.db*"):
            file.unlink()
        (tmp_path / "costs.db").mkdir()
        answers = [ask(served), httpx.get(f"{served.url}/readyz", timeout=60)]
    for answer in answers:
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert "sk-of-the-provider" not in answer.text


def ask(served: Served) -> httpx.Response:
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "?"}]}
    return httpx.post(f"{served.openai_url}/chat/completions", json=body, timeout=60)
