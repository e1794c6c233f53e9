"""The login of people with a browser: a key becomes a session."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from aegis_graph.errors import LedgerError
from aegis_graph.server.attempt_limit import AttemptLimit
from aegis_graph.server.refusals import ledger_refusal, refusal
from aegis_graph.server.services import ServerServices

MAX_FORM_BYTES = 16 * 1024

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>aegis: log in</title>
<link rel="icon" href="{root}/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}/static/dashboard.css"></head>
<body><main><h1>Log in</h1>{problem}<form class="login" method="post" action="{root}/login">
<p><label for="key">Key</label>
<input id="key" name="key" type="password" required autocomplete="current-password"></p>
<input type="hidden" name="next" value="{there}"><p><button>Log in</button></p></form>
</main></body></html>
"""


def login_routes(services: ServerServices) -> list[BaseRoute]:
    """``/login`` and ``/logout``."""
    failures = AttemptLimit()

    async def form(request: Request) -> Response:
        return login_page(request, request.query_params.get("next", "/"))

    async def log_in(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=8, max_part_size=MAX_FORM_BYTES) as given:
            text, there = str(given.get("key", "")), str(given.get("next", "/"))
        try:
            key = await services.keys.find(text.strip())
            if key is None or key.role == "call":
                wait_s = failures.failed(request.client.host if request.client else "")
                if wait_s is not None:
                    says = "too many wrong keys from this address"
                    return refusal(429, says, code="rate_limit_exceeded", retry_after_s=wait_s)
                says = "This key opens no page: it is wrong, or for calls alone."
                return login_page(request, there, problem=says, status=401)
            response = RedirectResponse(_own_address(request, there), status_code=303)
            await services.sessions.begin(key, request, response)
        except LedgerError as error:
            return ledger_refusal(error)
        return response

    async def log_out(request: Request) -> Response:
        response = RedirectResponse(_own_address(request, "/login"), status_code=303)
        try:
            await services.sessions.end(request, response)
        except LedgerError as error:
            return ledger_refusal(error)
        return response

    return [
        Route("/login", form, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
    ]


def login_page(
    request: Request, there: str, *, problem: str = "", status: int = 200
) -> HTMLResponse:
    """The form, which needs no script."""
    says = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    root = request.scope.get("root_path", "")
    page = _PAGE.format(problem=says, root=escape(root), there=escape(there))
    return HTMLResponse(page, status_code=status)


def _own_address(request: Request, there: str) -> str:
    """A path of this server: a login leads nowhere else."""
    own = there if there.startswith("/") and not there.startswith(("//", "/\\")) else "/"
    return f"{request.scope.get('root_path', '')}{own}"
