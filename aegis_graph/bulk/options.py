"""What a run of a job can be told, for callers that hand it on."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, get_args

from typing_extensions import TypedDict

from aegis_graph.bulk.records import BulkProgress
from aegis_graph.bulk.tiers import BulkTier
from aegis_graph.bulk.worker import WorkerSettings
from aegis_graph.errors import InvalidRequestError

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}"
"""A job's name is a tag, a part of a budget's scope, and the beginning of its runs."""

Engine = Literal["local", "ray"]
OnProgress = Callable[[BulkProgress], None]


class ForecastOptions(TypedDict, total=False):
    """The options of ``BulkJob.forecast``; see ``aforecast``."""

    sample: int
    max_cost_usd: str | Decimal | None
    concurrency: int
    workers: int
    max_attempts: int
    progress: OnProgress | None
    settings: WorkerSettings | None


class BulkOptions(TypedDict, total=False):
    """The options of ``BulkJob.run``; see ``arun``."""

    max_cost_usd: str | Decimal | None
    concurrency: int
    workers: int
    engine: Engine
    tier: BulkTier | None
    max_attempts: int
    progress: OnProgress | None
    settings: WorkerSettings | None


def checked_name(name: str) -> str:
    """A job's name.

    Raises:
        InvalidRequestError: It is none.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidRequestError(
            f"name: {name!r} is no name of 1 to 60 letters, digits and any of - _ ."
        )
    return name


def check_engine(engine: str, tier: BulkTier | None, workers: int) -> None:
    """Whether a job can be run so.

    Raises:
        InvalidRequestError: The engine is unknown, or has no such tier.
    """
    if tier == "batch" and (workers > 1 or engine != "local"):
        raise InvalidRequestError('tier="batch": one process sends the files; use workers=1')
    if engine not in get_args(Engine):
        raise InvalidRequestError(f"engine: {engine!r} is unknown; use 'local' or 'ray'")
