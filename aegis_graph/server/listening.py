"""The app on a socket, by uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.server.app import create_app
from aegis_graph.server.bounded_http import BoundedHttp

MOST_CONNECTIONS = 1000
"""At once; what is above that is told to come again, and no memory is taken for it."""
IDLE_S = 30
"""How long a connection without a request stays open, in seconds."""
END_S = 30
"""How long answers that are under way may take when the server ends, in seconds."""


def run_server(
    config: RouterConfig | Path, listener: socket.socket, *, allowed_hosts: Collection[str] = ()
) -> None:
    """Serve until the process is asked to end, then let what is under way finish.

    Args:
        config: A configuration, or its file, which is watched.
        listener: Bound to an address.
        allowed_hosts: As for ``create_app``.
    """
    app = create_app(config, allowed_hosts=allowed_hosts)
    uvicorn.Server(server_settings(app)).run(sockets=[listener])


def server_settings(
    app: Starlette, *, http: type[BoundedHttp] = BoundedHttp, **more: Any
) -> uvicorn.Config:
    """How uvicorn serves the app.

    Args:
        app: The app.
        http: What a connection speaks. Its parser bounds the headers while they arrive.
        more: More settings of uvicorn's, such as ``port``.
    """
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        # The caller's address is what the socket says, whatever a header claims.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=END_S,
        **more,
    )
