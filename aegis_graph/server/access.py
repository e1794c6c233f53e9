"""Who calls, and what that caller may do. What is not said to be public is closed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, cast
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.api_keys import KEY_TAG, ApiKey, Role
from aegis_graph.server.attempt_limit import AttemptLimit
from aegis_graph.server.refusals import ledger_refusal, refusal
from aegis_graph.server.services import ServerServices
from aegis_graph.types import Sensitivity

PUBLIC = re.compile(r"/(healthz|readyz|login|logout|static/.*)")
"""Paths that are open to everybody: they tell nothing of the ledger."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers of a proxy: the caller behind it may be anywhere."""

Means = Literal["key", "session", "loopback"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        name: Of the key; ``local`` for a caller on this machine while there are no keys.
        role: What the caller may do.
        means: How the caller is known.
        user: Whom its calls are counted for; ``None`` where the request says that.
        sensitivity: The least level of privacy of its calls.
    """

    name: str
    role: Role
    means: Means
    user: str | None = None
    sensitivity: Sensitivity | None = None

    @classmethod
    def of(cls, key: ApiKey, means: Means) -> Caller:
        """The holder of a key."""
        return cls(key.name, key.role, means, key.user_id, key.sensitivity)

    @property
    def tags(self) -> dict[str, str]:
        """By which its calls are counted: a key's budget is one of a tag."""
        return {} if self.means == "loopback" else {KEY_TAG: self.name}

    def may(self, needed: Role | None) -> bool:
        """Whether the caller has a role; an admin has each, and everybody has ``None``."""
        return needed is None or self.role in (needed, "admin")


LOCAL = Caller("local", "admin", "loopback")
"""Any program of this machine, while no key was ever made."""


def caller_of(request: Request) -> Caller:
    """Who sent a request to a route that is not public."""
    return cast(Caller, request.state.caller)


def needed_role(method: str, path: str) -> Role | None:
    """The role that a request needs.

    Example:
        >>> needed_role("POST", "/v1/embeddings"), needed_role("GET", "/"), needed_role("POST", "/")
        ('call', 'read', 'admin')
    """
    if path == "/openapi.json":
        return None
    if path == "/v1" or path.startswith("/v1/"):
        return "call"
    return "read" if method in ("GET", "HEAD") else "admin"


class AccessMiddleware:
    """Lets a request through whose caller is known and has the role that it needs.

    Args:
        app: What is behind it.
        services: Know the keys and the sessions.
    """

    def __init__(self, app: ASGIApp, services: ServerServices) -> None:
        self._app = app
        self._services = services
        self._failures = AttemptLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or PUBLIC.fullmatch(get_route_path(scope)):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            caller = await self._caller(request)
        except LedgerError as error:
            await ledger_refusal(error)(scope, receive, send)
            return
        refused = self._refused(request, caller)
        if refused is not None:
            await refused(scope, receive, send)
            return
        request.state.caller = caller
        await self._app(scope, receive, send)

    async def _caller(self, request: Request) -> Caller | None:
        # First: OpenAI's clients always send some key, also where there is none to be had.
        if is_local(request) and not await self._services.keys.exist():
            return LOCAL
        token = presented_key(request)
        if token is not None:
            key = await self._services.keys.find(token)
            return None if key is None else Caller.of(key, "key")
        key = await self._services.sessions.key_of(request)
        return None if key is None else Caller.of(key, "session")

    def _refused(self, request: Request, caller: Caller | None) -> Response | None:
        path = get_route_path(request.scope)
        if caller is None:
            return self._unknown(request, path)
        needed = needed_role(request.method, path)
        if caller.may(needed):
            return None
        says = f"the key {caller.name!r} has the role {caller.role}; this needs {needed}"
        return refusal(403, says, code="insufficient_permissions")

    def _unknown(self, request: Request, path: str) -> Response:
        if presented_key(request) is not None:
            address = request.client.host if request.client else ""
            # A right key is let in all the same: behind a proxy all callers have one address.
            wait_s = self._failures.failed(address)
            if wait_s is not None:
                says = "too many wrong keys from this address"
                return refusal(429, says, code="rate_limit_exceeded", retry_after_s=wait_s)
            says = "the key is wrong, has expired or was revoked"
        elif "text/html" in request.headers.get("accept", "") and request.method == "GET":
            there = f"{path}?{request.url.query}" if request.url.query else path
            root = request.scope.get("root_path", "")
            return RedirectResponse(f"{root}/login?next={quote(there)}", status_code=303)
        else:
            says = "a key is needed: Authorization: Bearer KEY; `aegis keys add` makes one"
        return refusal(
            401, says, code="invalid_api_key", headers={"www-authenticate": 'Bearer realm="aegis"'}
        )


def presented_key(request: Request) -> str | None:
    """The key in a request's headers; ``None`` where there is none."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def is_local(request: Request) -> bool:
    """Whether a request comes from a program of this machine, and through no proxy."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
