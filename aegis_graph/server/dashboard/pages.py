"""Pages from templates, and what stands on each of them."""

from __future__ import annotations

import json
import logging
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from aegis_graph.errors import ConfigError, LedgerError
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.windows import ALL_DAYS
from aegis_graph.pricing.money import usd_text
from aegis_graph.server.access import caller_of
from aegis_graph.server.dashboard.view import View
from aegis_graph.server.security import CSRF_FIELD
from aegis_graph.server.services import ServerServices

THEMES = ("light", "dark")
THEME_COOKIE = "aegis_theme"

# What no system's table of kinds of files may change.
for kind, ending in (("text/javascript", ".js"), ("text/css", ".css"), ("image/svg+xml", ".svg")):
    mimetypes.add_type(kind, ending)

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def usd_html(nano_usd: int) -> Markup:
    """An exact amount, of which the digits after the cents are small.

    Example:
        >>> str(usd_html(1_234_500_000)), str(usd_html(2_000_000_000))
        ('$1.23<small>45</small>', '$2.00')
    """
    whole, _, part = usd_text(nano_usd).partition(".")
    rest = Markup("<small>{}</small>").format(part[2:]) if part[2:] else ""
    return Markup("${}.{}{}").format(f"{int(whole):,}", part[:2].ljust(2, "0"), rest)


def signed_usd_html(nano_usd: int) -> Markup:
    """The same of an amount that may be below nothing."""
    return Markup("-") + usd_html(-nano_usd) if nano_usd < 0 else usd_html(nano_usd)


def cell_html(value: str | int | None) -> Markup:
    """A cell of a table: exact amounts as they are, whole numbers in groups."""
    if value is None:
        return Markup('<span class="unknown">unknown</span>')
    return escape(f"{value:,}" if isinstance(value, int) else value)


def json_data(value: Any) -> Markup:
    """JSON for a script to read, which cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("aegis_graph.server.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "usd": usd_html,
        "signed_usd": signed_usd_html,
        "cell": cell_html,
        "json_data": json_data,
        "path": lambda text: quote(text, safe=""),
        "until": lambda day: "never" if day == ALL_DAYS.end else day,
    }
    return environment


async def render(
    request: Request, services: ServerServices, template: str, *, status: int = 200, **shown: Any
) -> HTMLResponse:
    """A page.

    Args:
        request: The request for it.
        services: Of the app.
        template: The file's name.
        status: The HTTP status.
        shown: What the template shows.
    """
    theme = request.cookies.get(THEME_COOKIE, "")
    now = services.clock().astimezone(calendar_of(services.config.ledger).zone)
    common: Mapping[str, Any] = {
        "root": request.scope.get("root_path", ""),
        "caller": caller_of(request),
        "csrf_field": CSRF_FIELD,
        "csrf_token": await services.sessions.csrf_token(request),
        "theme": theme if theme in THEMES else "",
        "moment": f"{now:%Y-%m-%d %H:%M} {services.config.ledger.timezone}",
    }
    text = _environment().get_template(template).render(**common, **shown)
    return HTMLResponse(text, status_code=status)


def view_of(request: Request, services: ServerServices) -> View:
    """What a request asks to see.

    Raises:
        ConfigError: Its address says something that is none of it.
    """
    calendar = calendar_of(services.config.ledger)
    return View.of(request.query_params, calendar, services.clock())


def page(services: ServerServices, handler: Handler) -> Handler:
    """A handler whose errors are pages that say what is wrong."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ConfigError as error:
            says, status = str(error), 400
        except LedgerError as error:
            logger.error("the ledger cannot be read: %s", error)
            says, status = "The ledger cannot be read now; the server's log says why.", 503
        return await render(
            request, services, "error.html", status=status, title="Error", says=says
        )

    return answered
