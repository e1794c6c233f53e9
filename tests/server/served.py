"""The server on a real port, before the package's loopback provider: what clients are tried on."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override

from aegis_graph import RouterConfig
from aegis_graph.server import create_app
from aegis_graph.server.bounded_http import BoundedHttp
from aegis_graph.server.listening import server_settings
from aegis_graph.testing import LoopbackServer

PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}


def loopback_rows(provider: LoopbackServer) -> list[dict[str, Any]]:
    """A chain of two OpenAI-compatible providers and one on this machine."""
    cloud: dict[str, Any] = {
        "kind": "openai",
        "location": "cloud",
        "price": PRICE,
        "api_key_env": "KEY",
    }
    cloud |= {
        "base_url": provider.openai_url,
        "timeout_s": 20,
        "max_output_tokens": 100,
        "images": True,
    }
    here: dict[str, Any] = {
        "kind": "openai",
        "location": "local",
        "price": "free",
        "api_key_env": "KEY",
    }
    here |= {"base_url": provider.openai_url, "timeout_s": 20, "max_output_tokens": 100}
    return [
        {"name": "first", "model": "gpt-4o", **cloud},
        {"name": "second", "model": "gpt-4o-mini", **cloud},
        {"name": "here", "model": "llama3.2:3b", **here},
    ]


def loopback_config(provider: LoopbackServer, folder: Path, **more: Any) -> RouterConfig:
    document = {
        "ledger": {"url": f"sqlite:///{folder}/costs.db"},
        "providers": loopback_rows(provider),
        "budgets": [],
        "aliases": {"fast": ["second", "first"]},
        "embeddings": [
            {
                "name": "vectors",
                "kind": "openai",
                "model": "text-embedding-3-small",
                "location": "cloud",
                "base_url": provider.openai_url,
                "dimensions": 1024,
                "price": PRICE,
                "api_key_env": "KEY",
            }
        ],
    }
    return RouterConfig.model_validate(document | more)


@dataclass(frozen=True)
class Served:
    """A running server, and the provider behind it."""

    app: Starlette
    port: int
    provider: LoopbackServer
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows, oldest first."""
        with closing(sqlite3.connect(f"{self.folder}/costs.db")) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM requests ORDER BY id").fetchall()
        return [dict(row) for row in found]


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[Served]:
    """Serve until the block ends."""
    with LoopbackServer(models=("gpt-4o", "gpt-4o-mini", "llama3.2:3b")) as provider:
        config = loopback_config(provider, folder, **more)
        app = create_app(config, environ={"KEY": "sk-of-the-provider"})
        with on_port(app) as port:
            yield Served(app, port, provider, folder)


@contextmanager
def on_port(app: Starlette, *, http: type[BoundedHttp] = BoundedHttp) -> Iterator[int]:
    """Run an app as ``aegis serve`` does, on a thread of its own."""
    server = _Server(server_settings(app, http=http, port=0))
    thread = threading.Thread(target=server.run, name="aegis-server", daemon=True)
    thread.start()
    assert server.ready.wait(60), "the server did not start"
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.ready = threading.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
