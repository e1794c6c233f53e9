"""What a command line chooses for its requests: the options that say it, and their values."""

from __future__ import annotations

import argparse
from typing import Any


def add_request_options(
    parser: argparse.ArgumentParser,
    *,
    sensitivity: str,
    cap: str | None = None,
    envelope: str | None = None,
) -> None:
    """The options of the commands whose calls cost something.

    Each is stored under the name of its key in a request.

    Args:
        parser: Of the command.
        sensitivity: What is private, and to what this leads.
        cap: What ``--max-output-tokens`` caps; without it there is no such option.
        envelope: What ``--max-cost-usd`` is for; without it there is no such option.
    """
    from aegis_graph.types import SENSITIVITIES  # noqa: PLC0415  the help need not wait for it

    parser.add_argument("--sensitivity", choices=SENSITIVITIES, help=sensitivity)
    parser.add_argument("--user", dest="user_id", metavar="ID", help="whom the cost belongs to")
    parser.add_argument(
        "--tag",
        dest="tags",
        type=_tag,
        action="append",
        metavar="KEY=VALUE",
        help="what the cost is counted by as well, like team=search; may be given 8 times",
    )
    if cap is not None:
        parser.add_argument("--max-output-tokens", type=int, metavar="N", help=f"cap of {cap}")
    if envelope is not None:
        parser.add_argument(
            "--max-cost-usd", metavar="USD", help=f"what {envelope} may cost, like 0.05"
        )


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE, like team=search")
    return key, value


def choices_of(options: argparse.Namespace) -> dict[str, Any]:
    """What a command line says of its requests; the file says the rest.

    Args:
        options: Of a command with ``add_request_options``.
    """
    # Only here, as above.
    from aegis_graph.request.choices import CHOICES  # noqa: PLC0415

    given = {key: getattr(options, key, None) for key in CHOICES}
    given["tags"] = dict(options.tags) if options.tags else None
    return {key: value for key, value in given.items() if value is not None}
