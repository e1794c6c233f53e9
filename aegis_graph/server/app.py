"""``create_app``: the server as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler, Lifespan

from aegis_graph.clock import Clock, utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.routing.handle import RouterHandle
from aegis_graph.server.access import AccessMiddleware
from aegis_graph.server.dashboard.routes import dashboard_routes
from aegis_graph.server.endpoint.routes import client_gone, endpoint_routes
from aegis_graph.server.health import health_routes
from aegis_graph.server.login import login_routes
from aegis_graph.server.metrics import metrics_routes
from aegis_graph.server.refusals import refusal
from aegis_graph.server.security import SecurityMiddleware
from aegis_graph.server.services import ServerServices


def create_app(
    config: RouterConfig | str | Path | None = None,
    *,
    router: RouterHandle | None = None,
    clock: Clock = utc_now,
    environ: Mapping[str, str] | None = None,
    allowed_hosts: Collection[str] = (),
) -> Starlette:
    """Build the server: dashboard, endpoint, metrics and health over one router and its ledger.

    It is an ASGI app for any server, and can be mounted in another app. Building it opens nothing.
    While no key was ever made, it serves programs of its own machine alone, and lets them do all.

    Args:
        config: A configuration, or its file, which is watched; without one, the file that
            ``AEGIS_CONFIG`` names, or the defaults.
        router: A router to share; its configuration and its ledger are then the server's.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys of providers are looked up by name, by default the process's
            environment.
        allowed_hosts: Names under which the server may be called, beside ``localhost`` and any
            address.

    Raises:
        ConfigError: The configuration is wrong, or the router's ledger cannot be read.
        ModuleNotFoundError: The extra is not installed; says how to. At the import.

    Example:
        >>> app = create_app(RouterConfig())
        >>> "/healthz" in [getattr(route, "path", "") for route in app.routes]
        True
    """
    handle = router or RouterHandle(
        config, watch=True, checkpointer=False, clock=clock, environ=environ
    )
    services = ServerServices.of(handle, clock=clock, environ=environ)

    app = Starlette(
        routes=[
            *health_routes(services),
            *login_routes(services),
            *metrics_routes(services),
            *endpoint_routes(services),
            *dashboard_routes(services),
        ],
        middleware=[
            Middleware(SecurityMiddleware, allowed_hosts=allowed_hosts),
            Middleware(AccessMiddleware, services=services),
        ],
        exception_handlers=_HANDLERS,
        # A router that was given may serve others.
        lifespan=_closing(services) if router is None else None,
    )
    app.state.services = services
    return app


def _closing(services: ServerServices) -> Lifespan[Starlette]:
    """Closes the ledger with the app."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        services.ledger.close()

    return lifespan


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    words = {404: "there is nothing at this path", 405: "this path has no such method"}
    says = words.get(error.status_code, str(error.detail))
    return refusal(error.status_code, says, headers=error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    # The exception itself is in the log, by the server that runs the app.
    return refusal(500, "the server failed; its log says how", code="internal_error")


_HANDLERS: Mapping[Any, ExceptionHandler] = {
    HTTPException: _refused,
    ClientDisconnect: client_gone,
    Exception: _failed,
}
