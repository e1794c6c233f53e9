"""The arguments of ``serve`` and ``keys``."""

from __future__ import annotations

import argparse

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4000


def add_serve(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``serve``."""
    parser.add_argument(
        "--host",
        default=DEFAULT_HOST,
        metavar="ADDRESS",
        help="where to listen; where other machines reach it, a key is needed"
        f" (default: {DEFAULT_HOST})",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"0 for any that is free (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which the server may be called, beside localhost and any address",
    )


def add_keys(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """The arguments of ``keys``."""
    from aegis_graph.types import SENSITIVITIES, WINDOWS  # noqa: PLC0415

    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, parents=[shared], help=text, description=text)
        made.set_defaults(command=f"keys {name}")
        return made

    new = action("add", "make a key, and print it: it is shown once")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--user", required=True, metavar="NAME", help="whom its calls are counted for")
    new.add_argument(
        "--role",
        choices=("call", "read", "admin"),
        default="call",
        help="call models; read what it cost; or both, and change budgets (default: call)",
    )
    new.add_argument(
        "--sensitivity",
        choices=SENSITIVITIES,
        help="the least level of privacy of its calls; a request may say a stricter one",
    )
    new.add_argument(
        "--budget",
        nargs=2,
        metavar=("WINDOW", "USD"),
        help=f"what its calls may cost in one of {', '.join(WINDOWS)}",
    )
    new.add_argument("--expires", metavar="TIME", help="after which it opens nothing, like 90d")
    action("list", "show every key, without itself: its role, scope, last use and end")
    action("revoke", "let a key open nothing any more").add_argument("name", metavar="NAME")
