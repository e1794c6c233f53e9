"""Which store a configuration's ledger is in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from aegis_graph.clock import Clock, utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.prompt_hashes import PromptHashes
from aegis_graph.ledger.records import Budget
from aegis_graph.ledger.sqlite import SqliteStore
from aegis_graph.ledger.store import Store
from aegis_graph.ledger.windows import Calendar


def create_ledger(
    config: RouterConfig, *, clock: Clock = utc_now, environ: Mapping[str, str] | None = None
) -> SqlLedger:
    """Build the ledger that a configuration names. Nothing is opened before it is used.

    Args:
        config: Its ``ledger`` and ``budgets`` count.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where the key of its hashes is looked up by name, by default the process's
            environment.

    Raises:
        ModuleNotFoundError: PostgreSQL is named and its driver is not installed; says how to.

    Example:
        >>> ledger = create_ledger(RouterConfig())
    """
    store, variable = create_store(config.ledger), config.ledger.hash_key_env
    return SqlLedger(
        store,
        limits=[Budget.of(spec) for spec in config.budgets],
        calendar=calendar_of(config.ledger),
        clock=clock,
        hashes=PromptHashes(store, variable=variable, environ=config.variables(environ)),
    )


def create_store(spec: LedgerSpec) -> Store:
    """The database that an address names."""
    if spec.url.startswith("sqlite:///"):
        path = Path(spec.url.removeprefix("sqlite:///"))
        return SqliteStore(path, busy_timeout_s=spec.busy_timeout_s)
    # Imported here: its driver is an extra.
    from aegis_graph.ledger.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(
        spec.url, shown=spec.url_without_password, busy_timeout_s=spec.busy_timeout_s
    )


def calendar_of(spec: LedgerSpec) -> Calendar:
    """When the ledger's days, weeks and months begin."""
    weekdays = get_args(type(spec).model_fields["first_day_of_week"].annotation)
    return Calendar(
        ZoneInfo(spec.timezone),
        first_day_of_month=spec.first_day_of_month,
        first_weekday=weekdays.index(spec.first_day_of_week),
    )
