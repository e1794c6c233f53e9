"""The router as an OpenAI-compatible endpoint."""

from aegis_graph.server.endpoint.models import models_routes as endpoint_routes

__all__ = ["endpoint_routes"]
