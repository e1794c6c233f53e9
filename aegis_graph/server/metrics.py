"""``/metrics``."""

from __future__ import annotations

from starlette.routing import BaseRoute

from aegis_graph.server.services import ServerServices


def metrics_routes(services: ServerServices) -> list[BaseRoute]:
    """The routes for a monitoring system."""
    return []
