"""Logins of people with a browser: a cookie that no script reads, and a row that ends."""

from __future__ import annotations

import secrets
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.clock import Clock
from aegis_graph.ledger.api_keys import ApiKey, add_session, end_session, keyed_hash, session_key
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.server.keys import KeyRing

COOKIE = "aegis_session"
LASTS = timedelta(hours=12)
"""From the login; a day's work."""


class Sessions:
    """Logs in and out. The ledger has a hash of each token, so that a logout is one everywhere.

    Args:
        ledger: Has the sessions.
        keys: Has the keys with which people log in; a revoked key's sessions are over.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, ledger: SqlLedger, keys: KeyRing, clock: Clock) -> None:
        self._ledger = ledger
        self._keys = keys
        self._clock = clock

    async def begin(self, key: ApiKey, request: Request, response: Response) -> None:
        """Log in with a key, and give the browser its cookie."""
        token = secrets.token_urlsafe(32)
        token_hash = await self._hash(token)
        now = self._clock()
        if token_hash is not None:
            await self._ledger.transact(
                lambda connection: add_session(
                    connection, token_hash, key.key_hash, now=now, expires_at=now + LASTS
                )
            )
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(LASTS.total_seconds()),
            path=_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    async def key_of(self, request: Request) -> ApiKey | None:
        """The key of the session that a request belongs to, while both last."""
        token_hash = await self._hash(request.cookies.get(COOKIE, ""))
        if token_hash is None:
            return None
        found = await self._ledger.read(session_key(token_hash, self._clock()))
        return None if found is None else await self._keys.with_hash(found)

    async def end(self, request: Request, response: Response) -> None:
        """Log out."""
        token_hash = await self._hash(request.cookies.get(COOKIE, ""))
        if token_hash is not None:
            await self._ledger.transact(lambda connection: end_session(connection, token_hash))
        response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")

    async def csrf_token(self, request: Request) -> str:
        """What a form of this session has to send back; empty where there is no session."""
        token, secret = request.cookies.get(COOKIE, ""), await self._keys.secret()
        return keyed_hash(secret, f"csrf:{token}") if token and secret else ""

    async def _hash(self, token: str) -> str | None:
        secret = await self._keys.secret()
        return keyed_hash(secret, f"session:{token}") if token and secret else None


def _path(request: Request) -> str:
    return request.scope.get("root_path", "") or "/"
