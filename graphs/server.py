"""The server beside the graphs of LangGraph Studio, under ``/aegis``: its own paths stay free."""

import os

from starlette.applications import Starlette
from starlette.routing import Mount

from aegis_graph.server import create_app

HOSTS = os.environ.get("AEGIS_ALLOWED_HOSTS") or ""
"""Names under which it may be called beside localhost, with commas between them."""

server = create_app(allowed_hosts=[name.strip() for name in HOSTS.split(",") if name.strip()])
app = Starlette(routes=[Mount("/aegis", app=server)])
