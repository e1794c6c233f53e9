"""What is checked of every request before anything of it is believed, and what each answer says."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aegis_graph.server.refusals import refusal
from aegis_graph.server.services import services_of
from aegis_graph.server.sessions import COOKIE

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Of a request: a few images, which are a third larger as base64."""
BODY_TIMEOUT_S = 60.0
"""In which a request's body has to be there, in seconds."""
MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024
"""Of all headers together, as uvicorn's h11 has it."""
MAX_PATH_BYTES = 4096

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The content security policy: nothing inline, and nothing from elsewhere."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer that does not say another value itself."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class SecurityMiddleware:
    """Refuses a foreign Host or Origin, and what is too large.

    Args:
        app: What is behind it.
        allowed_hosts: Names under which the server may be called, beside ``localhost`` and any
            address: a page elsewhere can make its own name lead here, but no address.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(name.lower() for name in (*allowed_hosts, "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        if refused is None:
            await self._app(scope, bounded(receive), send_with_headers)
        else:
            await refused(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if len(scope["headers"]) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            return refusal(431, "too many or too long headers", code="headers_too_large")
        if len(scope.get("raw_path") or b"") > MAX_PATH_BYTES:
            return refusal(414, "the path is too long", code="path_too_long")
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_allowed(host):
            says = "the Host header names no host of this server; `--allow-host` allows a name"
            return refusal(421, says, code="wrong_host")
        if not _is_own_origin(scope, headers, host):
            return refusal(403, "a page of another origin may not call this", code="wrong_origin")
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return refusal(400, "Content-Length is no number", code="bad_header")
        if length > MAX_BODY_BYTES:
            return too_large()
        return None

    def _is_allowed(self, host: str) -> bool:
        if not _HOST.fullmatch(host):
            return False
        name = urlsplit(f"//{host}").hostname or ""
        try:
            ip_address(name)
        except ValueError:
            return name in self._allowed
        return True


def bounded(receive: Receive, *, timeout_s: float = BODY_TIMEOUT_S) -> Receive:
    """A request's body with an end: of its bytes, and of the time that they take.

    What it gives after the body is the client's going away, which may take as long as it likes.
    """
    read, ended, ends_at = 0, False, asyncio.get_running_loop().time() + timeout_s

    async def receive_bounded() -> Message:
        nonlocal read, ended
        if ended:
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the body took too long") from None
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES // 1024**2} MB")
        ended = not message.get("more_body", False)
        return message

    return receive_bounded


def too_large() -> Response:
    """The refusal of a body that is too large."""
    most = f"{MAX_BODY_BYTES // 1024**2} MB"
    return refusal(413, f"the body has more than {most}", code="request_too_large")


def _is_own_origin(scope: Scope, headers: Headers, host: str) -> bool:
    """Whether a request that may change something comes from this server's own pages, or no page.

    Programs send no Origin; browsers send one with each such request. A login's cookie is SameSite
    as well, and a browser that sends no Origin with it is not believed.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return True
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return f"{COOKIE}=" not in headers.get("cookie", "")
    return urlsplit(origin).netloc.lower() == host.lower()


async def csrf_refusal(request: Request, given: str | None) -> Response | None:
    """Why a change that a session asks for is not made: it has not this session's own token.

    Args:
        request: The request.
        given: The form's ``csrf_token``, where the token is not in the header ``x-csrf-token``.
    """
    if COOKIE not in request.cookies:
        return None
    expected = await services_of(request).sessions.csrf_token(request)
    shown = request.headers.get(CSRF_HEADER) or given or ""
    if expected and hmac.compare_digest(expected.encode(), shown.encode()):
        return None
    return refusal(403, "the form is too old: load the page again", code="wrong_csrf_token")
