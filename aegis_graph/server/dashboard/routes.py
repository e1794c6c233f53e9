"""The pages, by path."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from aegis_graph.server.services import ServerServices

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>aegis</title></head>
<body><main><h1>aegis</h1><ul>
<li><a href="{root}/readyz">readyz</a></li><li><a href="{root}/v1/models">models</a></li>
</ul></main></body></html>
"""


def dashboard_routes(services: ServerServices) -> list[BaseRoute]:
    """The routes for people with a browser."""

    async def index(request: Request) -> HTMLResponse:
        return HTMLResponse(_PAGE.format(root=request.scope.get("root_path", "")))

    return [Route("/", index)]
