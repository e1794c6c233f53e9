"""The endpoint's routes."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from aegis_graph.server.endpoint.chat_completions import ChatEndpoint
from aegis_graph.server.endpoint.embeddings import EmbeddingsEndpoint
from aegis_graph.server.endpoint.models import models_routes
from aegis_graph.server.endpoint.openapi import openapi_document
from aegis_graph.server.endpoint.responses import ResponsesEndpoint
from aegis_graph.server.services import ServerServices


def endpoint_routes(services: ServerServices) -> list[BaseRoute]:
    """Everything below ``/v1``, and its description."""
    answering = {
        "/v1/chat/completions": ChatEndpoint(services).answer,
        "/v1/embeddings": EmbeddingsEndpoint(services).answer,
        "/v1/responses": ResponsesEndpoint(services).answer,
    }

    async def document(request: Request) -> Response:
        return JSONResponse(openapi_document(request.scope.get("root_path", "")))

    return [
        Route("/openapi.json", document),
        *(Route(path, serve, methods=["POST"]) for path, serve in answering.items()),
        *models_routes(services),
    ]


async def client_gone(request: Request, error: Exception) -> Response:
    """What is answered to a client that has gone: nothing reaches it."""
    assert isinstance(error, ClientDisconnect), "registered for these"
    return Response(status_code=499)
