"""The columns of ``requests``: what is written, exported and copied is derived from these."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """A column of ``requests``."""

    name: str
    type: Literal["integer", "text", "usd"]
    set_by: Literal["hold", "settlement", "database"]
    """What gives a row its value: the INSERT of a hold, the UPDATE of its settlement, or nothing,
    because the database computes it."""
    free_text: bool = False
    """Whether a user, a provider or a configuration chooses the text."""


REQUESTS: tuple[Column, ...] = (
    Column("id", "integer", "hold"),
    Column("timestamp", "text", "hold"),
    Column("day", "text", "hold"),
    Column("route_id", "text", "hold", free_text=True),
    Column("attempt", "integer", "hold"),
    Column("provider", "text", "hold", free_text=True),
    Column("model", "text", "hold", free_text=True),
    Column("task", "text", "hold", free_text=True),
    Column("sensitivity", "text", "hold"),
    Column("user_id", "text", "hold", free_text=True),
    Column("thread_id", "text", "hold", free_text=True),
    Column("query_hash", "text", "hold"),
    Column("status", "text", "settlement"),
    Column("error_type", "text", "settlement", free_text=True),
    Column("cost_basis", "text", "settlement"),
    Column("hold_nano_usd", "integer", "hold"),
    Column("cost_nano_usd", "integer", "settlement"),
    Column("cost_usd", "usd", "database"),
    Column("input_tokens", "integer", "settlement"),
    Column("output_tokens", "integer", "settlement"),
    Column("cached_input_tokens", "integer", "settlement"),
    Column("reasoning_tokens", "integer", "settlement"),
    Column("latency_ms", "integer", "settlement"),
    Column("expires_at", "text", "hold"),
    Column("run_id", "text", "hold", free_text=True),
    Column("cache_write_tokens", "integer", "settlement"),
    Column("service_tier", "text", "settlement", free_text=True),
    Column("served_model", "text", "settlement", free_text=True),
    Column("overrun", "integer", "settlement"),
    Column("tags", "text", "hold", free_text=True),
    Column("queued_ms", "integer", "hold"),
    Column("hold_tokens", "integer", "hold"),
    Column("counted_scopes", "text", "hold", free_text=True),
    Column("expected_nano_usd", "integer", "hold"),
    Column("first_token_ms", "integer", "settlement"),
)
"""The columns that the migrations give ``requests``, in their order."""

SET_BY_HOLD = tuple(column.name for column in REQUESTS if column.set_by == "hold")
SET_BY_SETTLEMENT = tuple(column.name for column in REQUESTS if column.set_by == "settlement")
