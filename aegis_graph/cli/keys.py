"""``aegis keys``: who may call the server."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from aegis_graph.cli import OK, USAGE_ERROR
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import TableColumn, new_console, print_lines, print_table
from aegis_graph.clock import utc_now
from aegis_graph.config.budget_input import parse_usd
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.api_keys import (
    KEY_NAME_PATTERN,
    KEY_TAG,
    ApiKey,
    add_key,
    known_keys,
    new_key,
    revoke_key,
)
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.pricing.money import limit_nano_usd, usd_text

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def add(options: argparse.Namespace) -> int:
    """Make a key, print it once, and set its budget."""
    ledger = create_ledger(load_config(options))
    if not re.fullmatch(KEY_NAME_PATTERN, options.name):
        raise ConfigError(f"keys: {options.name!r} is no name of 1 to 60 letters, digits, - _ .")
    if not options.user.isprintable() or not 0 < len(options.user) <= 80:
        raise ConfigError("keys: --user must be printable text of 1 to 80 characters")
    now = utc_now()
    ends = None if options.expires is None else now + parse_duration(options.expires)
    key = new_key()
    run_async(_add(ledger, options, key, now, ends))
    says = _budget_line(options)
    if options.json:
        print(json.dumps({"name": options.name, "key": key, "budget": says or None}))
        return OK
    print(key)
    lines = [f"This is the key {options.name!r}; the ledger has a hash of it, so keep it now."]
    print_lines(new_console(), [*lines, *([says] if says else [])])
    return OK


def show(options: argparse.Namespace) -> int:
    """Show every key."""
    ledger = create_ledger(load_config(options))
    keys = run_async(ledger.read(known_keys())).keys
    now = utc_now()
    if options.json:
        hidden = [key._asdict() | {"state": _state(key, now)} for key in keys]
        shown = [{name: row[name] for name in row if name != "key_hash"} for row in hidden]
        print(json.dumps({"keys": shown}))
    elif keys:
        print_table(new_console(), "Keys of the server (times in UTC)", _columns(keys, now))
    else:
        print("There is no key: the server listens on this machine only, and lets everybody in.")
    return OK


def revoke(options: argparse.Namespace) -> int:
    """Let a key open nothing any more."""
    ledger = create_ledger(load_config(options))
    now = utc_now()
    done = run_async(ledger.transact(lambda connection: revoke_key(connection, options.name, now)))
    says = f"the key {options.name!r} is revoked" if done else f"there is no key {options.name!r}"
    print(json.dumps({"changed": done, "message": says}) if options.json else says)
    return OK if done else USAGE_ERROR


def parse_duration(text: str) -> timedelta:
    """A length of time as a person types it.

    Raises:
        ConfigError: It is none.

    Example:
        >>> parse_duration("90d").days
        90
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if found is None:
        raise ConfigError(f"{text!r} is no time like 12h, 90d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


async def _add(
    ledger: SqlLedger,
    options: argparse.Namespace,
    key: str,
    now: datetime,
    ends: datetime | None,
) -> None:
    taken = ConfigError(f"keys: there is a key {options.name!r}; revoke it first, or name another")
    there = (await ledger.read(known_keys())).keys
    if any(key.name == options.name and key.revoked_at is None for key in there):
        raise taken
    # The budget first: a key that may spend without one is never there, not even for a moment.
    if options.budget:
        window, usd = options.budget
        await ledger.set_budget(_scope(options.name), window, parse_usd(usd))
    added = await ledger.transact(
        lambda connection: add_key(
            connection,
            key,
            name=options.name,
            role=options.role,
            user_id=options.user,
            sensitivity=options.sensitivity,
            now=now,
            expires_at=ends,
        )
    )
    if not added:
        raise taken


def _scope(name: str) -> str:
    return f"tag:{KEY_TAG}={name}"


def _budget_line(options: argparse.Namespace) -> str:
    if not options.budget:
        return ""
    window, usd = options.budget
    limit = usd_text(limit_nano_usd(parse_usd(usd)))
    return f"Its budget is ${limit} per {window}: {_scope(options.name)} of `aegis budgets`."


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _columns(keys: Sequence[ApiKey], now: datetime) -> list[TableColumn]:
    return [
        TableColumn("name", [key.name for key in keys]),
        TableColumn("role", [key.role for key in keys]),
        TableColumn("user", [key.user_id for key in keys]),
        TableColumn("state", [_state(key, now) for key in keys]),
        TableColumn("sensitivity", [key.sensitivity or "" for key in keys], rank=3),
        TableColumn("last used", [(key.last_used_at or "never")[:16] for key in keys], rank=1),
        TableColumn("expires", [(key.expires_at or "never")[:16] for key in keys], rank=2),
    ]
