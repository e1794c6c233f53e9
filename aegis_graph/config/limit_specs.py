"""How much of a provider, a user or anything else may be used at a time, beside what it costs."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from aegis_graph.config.config_model import ConfigModel
from aegis_graph.types import LIMIT_UNITS, MAX_TAG_VALUE, TAG_KEY_PATTERN, LimitUnit

Most = Annotated[int, Field(ge=1, le=10**15)]

_TAG_SCOPE = rf"tag:{TAG_KEY_PATTERN}=.{{1,{MAX_TAG_VALUE}}}"


def _checked_scope(scope: str) -> str:
    """A scope as a budget or a limit names it.

    Raises:
        ValueError: It is none.
    """
    known = re.fullmatch(rf"total|(provider|model|task|user):\S+|{_TAG_SCOPE}", scope)
    if not known or not scope.isprintable():
        raise ValueError(
            "is none; write total, provider:NAME, model:NAME, task:NAME, user:NAME,"
            " tag:KEY=VALUE, or user:* for each user and tag:KEY=* for each value"
        )
    return scope


Scope = Annotated[str, AfterValidator(_checked_scope)]


class UseLimits(ConfigModel):
    """Limits in other units than money; without one there is no such limit."""

    max_concurrency: Most | None = None
    """Most calls under way at a time, of all programs that share the ledger."""
    requests_per_minute: Most | None = None
    """Most calls of any 60 seconds."""
    tokens_per_minute: Most | None = None
    """Most tokens of any 60 seconds: of a call under way the most that it can use, and then what
    it has used."""
    requests_per_day: Most | None = None
    """Most calls of a day by the ledger's time zone."""
    tokens_per_day: Most | None = None
    """Most tokens of such a day."""

    @property
    def in_units(self) -> dict[LimitUnit, int]:
        """The limits that are set."""
        found = {unit: getattr(self, unit) for unit in LIMIT_UNITS}
        return {unit: most for unit, most in found.items() if most is not None}


class LimitSpec(UseLimits):
    """Limits on a scope, as a budget has one.

    Example:
        >>> LimitSpec(scope="user:*", max_concurrency=2).in_units
        {'max_concurrency': 2}
    """

    scope: Scope
    """``provider:NAME``, ``model:NAME``, ``task:NAME``, ``user:NAME``, ``tag:KEY=VALUE`` or
    ``total``; ``user:*`` is each user alone, and ``tag:KEY=*`` each value of the tag."""

    @model_validator(mode="after")
    def _refuse_none(self) -> LimitSpec:
        if not self.in_units:
            raise ValueError(f"limits nothing; write one of {', '.join(LIMIT_UNITS)}")
        return self
