"""What every route of the server works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from aegis_graph.clock import Clock
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.routing.handle import RouterHandle
from aegis_graph.server.keys import KeyRing
from aegis_graph.server.sessions import Sessions


@dataclass(frozen=True, slots=True)
class ServerServices:
    """The router, its ledger, and who may use them; one for an app.

    Args:
        router: Answers what is asked.
        ledger: The router's own, which every figure is read from.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys of providers are looked up by name; ``None`` for the process's own.
        keys: The keys of the server's callers.
        sessions: The logins of people with a browser.
    """

    router: RouterHandle
    ledger: SqlLedger
    clock: Clock
    environ: Mapping[str, str] | None = field(repr=False)
    keys: KeyRing
    sessions: Sessions

    @classmethod
    def of(
        cls, router: RouterHandle, *, clock: Clock, environ: Mapping[str, str] | None
    ) -> ServerServices:
        """The services around a router.

        Raises:
            ConfigError: Its ledger is not one that can be read.
        """
        ledger = router.ledger
        if not isinstance(ledger, SqlLedger):
            raise ConfigError("the server reads the ledger: give the router one of create_ledger")
        keys = KeyRing(ledger, clock)
        # Each request stands alone, also where the router that was given remembers.
        router = router.without_memory()
        return cls(router, ledger, clock, environ, keys, Sessions(ledger, keys, clock))

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self.router.config


def services_of(request: Request) -> ServerServices:
    """The services of the app that serves a request."""
    services: ServerServices = request.app.state.services
    return services
