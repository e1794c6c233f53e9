"""``/v1/models``: the names under which providers can be chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from aegis_graph.config.aliases import AUTO
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.server.refusals import refusal
from aegis_graph.server.services import ServerServices


def models_routes(services: ServerServices) -> list[BaseRoute]:
    """The list, and one of it."""

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": list(model_cards(services.config))})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        for card in model_cards(services.config):
            if card["id"] == name:
                return JSONResponse(card)
        return refusal(
            404,
            f"model: {name[:200]!r} is unknown; GET /v1/models lists those that there are",
            code="model_not_found",
            param="model",
        )

    return [Route("/v1/models", models), Route("/v1/models/{name:path}", model)]


def model_cards(config: RouterConfig) -> Iterator[dict[str, Any]]:
    """Every name that a request's ``model`` may have, once."""
    rows = [row for row in (*config.providers, *config.embeddings) if row.enabled]
    owners = {AUTO: "aegis"} | dict.fromkeys(config.aliases, "aegis")
    for row in rows:
        owners.setdefault(row.name, row.name)
        owners.setdefault(row.model, row.name)
    for name, owner in owners.items():
        # OpenAI's clients want a time; a configured name has none.
        yield {"id": name, "object": "model", "created": 0, "owned_by": owner}
