"""The server in a test: over an extractive provider, called without a socket."""

from __future__ import annotations

from pathlib import Path

import httpx
from starlette.applications import Starlette

from aegis_graph import RouterConfig
from aegis_graph.clock import utc_now
from aegis_graph.ledger.api_keys import Role, add_key, new_key
from aegis_graph.server import create_app
from aegis_graph.server.services import ServerServices
from aegis_graph.types import Sensitivity

LOCALHOST = "http://127.0.0.1:4000"


def quoting_config(folder: Path) -> RouterConfig:
    """A chain that needs no other server."""
    row = {"name": "quotes", "kind": "extractive", "model": "m", "location": "local"}
    return RouterConfig.model_validate(
        {"ledger": {"url": f"sqlite:///{folder}/costs.db"}, "providers": [row], "budgets": []}
    )


def quoting_app(folder: Path) -> Starlette:
    return create_app(quoting_config(folder), environ={})


def client_of(app: Starlette, *, address: str = "127.0.0.1", **more: str) -> httpx.AsyncClient:
    """A client whose requests come from an address."""
    transport = httpx.ASGITransport(app=app, client=(address, 50000))
    return httpx.AsyncClient(transport=transport, base_url=LOCALHOST, headers=more)


def services(app: Starlette) -> ServerServices:
    found: ServerServices = app.state.services
    return found


async def made_key(
    app: Starlette,
    name: str = "app",
    *,
    role: Role = "call",
    user: str = "ada",
    sensitivity: Sensitivity | None = None,
) -> str:
    """A new key, in force at once."""
    key = new_key()
    await services(app).ledger.transact(
        lambda connection: add_key(
            connection,
            key,
            name=name,
            role=role,
            user_id=user,
            sensitivity=sensitivity,
            now=utc_now(),
            expires_at=None,
        )
    )
    services(app).keys.forget()
    return key
