"""``aegis serve``: the server, on this machine's own address or behind keys."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from contextlib import ExitStack
from ipaddress import ip_address

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import config_path
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.api_keys import known_keys
from aegis_graph.ledger.factory import create_ledger

BACKLOG = 2048
"""Connections that may wait to be accepted: as many as uvicorn's own default."""


def serve(options: argparse.Namespace) -> int:
    """Serve until the process is asked to end."""
    # First, because what is missing should be said before anything is opened.
    from aegis_graph.server.listening import run_server  # noqa: PLC0415

    config = load_config(options)
    has_keys = asyncio.run(_has_keys(config))
    listener = listening_socket(options.host, options.port)
    if not has_keys and not all_loopback(listener):
        listener.close()
        raise ConfigError(
            f"serve: {options.host} can be reached from other machines, and there is no key:"
            " make one with `aegis keys add NAME --user U`, or listen on 127.0.0.1"
        )
    print(start_line(listener, has_keys=has_keys), file=sys.stderr, flush=True)
    # A file is watched; what was read without one is as it is.
    watched = config_path(options.config)
    run_server(watched or config, listener, allowed_hosts=options.allow_host)
    return OK


async def _has_keys(config: RouterConfig) -> bool:
    ledger = create_ledger(config)
    return bool((await ledger.read(known_keys())).keys)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        ConfigError: It cannot; says why.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as opened:
            listener = opened.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # Now, and not when all is imported: who reads the line below can connect.
            listener.listen(BACKLOG)
            opened.pop_all()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"serve: cannot listen on {host} port {port}: {error}") from error
    return listener


def all_loopback(listener: socket.socket) -> bool:
    """Whether only programs of this machine can reach it."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def start_line(listener: socket.socket, *, has_keys: bool) -> str:
    """What a person is to know when the server starts."""
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    who = "callers need a key (`aegis keys list`)"
    if not has_keys:
        who = (
            "without keys: it listens on this machine only, and every program here is admin;"
            " `aegis keys add` makes the first"
        )
    return f"aegis: serving on {address}, {who}"
