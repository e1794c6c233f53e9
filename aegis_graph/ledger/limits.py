"""Limits in other units than money: calls at a time, and requests and tokens by time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

from aegis_graph.ledger.scopes import matching_scope, scope_list_text
from aegis_graph.types import LimitUnit


class UnitLimit(NamedTuple):
    """A limit that an attempt must fit into."""

    scope: str
    """As in a budget."""
    unit: LimitUnit
    most: int

    @property
    def counted(self) -> bool:
        """Whether ``limit_counts`` has a part of its use."""
        return self.unit != "max_concurrency"


# Kept, as what follows: many requests have the same limits and scopes.
@lru_cache(maxsize=1024)
def limited_scopes(
    limits: tuple[UnitLimit, ...], scopes: tuple[str, ...]
) -> tuple[tuple[UnitLimit, str], ...]:
    """Each limit that concerns an attempt with these scopes, and the scope that it is about."""
    pairs = ((limit, matching_scope(limit.scope, scopes)) for limit in limits)
    return tuple((limit, scope) for limit, scope in pairs if scope is not None)


@lru_cache(maxsize=1024)
def counted_scopes(limits: tuple[UnitLimit, ...], scopes: tuple[str, ...]) -> str | None:
    """The scopes that ``limit_counts`` has of it, as a row keeps them; ``None`` for none."""
    found = {scope: None for limit, scope in limited_scopes(limits, scopes) if limit.counted}
    return scope_list_text(found) if found else None


@dataclass(frozen=True, slots=True)
class LimitRefusal:
    """A hold for which a limit had no room."""

    code: ClassVar[Literal["limit"]] = "limit"
    provider: str
    limit: UnitLimit
    scope: str
    """What it was full for: the one user or value, where the limit is for each."""
    used: int
    asked: int
    free_in_s: float | None
    """When there is room unless others take it, in seconds; ``None`` where that depends on calls
    that are under way, or where the limit is too small for the request at any time."""
    stated: bool = False
    """Whether the provider itself says so: the limit is what it says is left."""

    @property
    def may_fit(self) -> bool:
        """Whether waiting can help."""
        return self.stated or self.asked <= self.limit.most

    def helps_within(self, seconds: float) -> bool:
        """Whether there may be room if it is waited for so long."""
        if not self.may_fit:
            return False
        if self.free_in_s is None:
            return True
        # A reservation of tokens may end with less any moment.
        if self.limit.unit == "tokens_per_minute" and not self.stated:
            return True
        return self.free_in_s <= seconds

    def reason(self, waited_s: float = 0.0) -> str:
        """The refusal in one line; ``waited_s`` is how long it was waited for in vain."""
        scope, unit, most = self.limit.scope, self.limit.unit, self.limit.most
        used = min(self.used, most) if unit == "max_concurrency" else self.used
        if self.stated:
            what = f"the provider has {most:,} {unit.partition('_')[0]} left"
        elif not self.may_fit:
            what = f"needs up to {self.asked:,} tokens, more than the {most:,} that {_PER[unit]}"
            what += " may take"
        else:
            needs = f"needs up to {self.asked:,} tokens, " if unit.startswith("tokens") else ""
            what = f"{needs}{used:,} of {most:,} {_WORDS[unit]}"
        if waited_s:
            what += f" for {waited_s:.0f} s" if waited_s >= 1 else f" for {waited_s:.1f} s"
        if self.free_in_s is not None:
            what += f", free in {max(1, round(self.free_in_s))} s"
        if scope == f"provider:{self.provider}":
            return what
        each = "" if self.scope == scope else f" ({scope})"
        return f"limit {self.scope}{each}: {what}"


_WORDS: dict[LimitUnit, str] = {
    "max_concurrency": "slots busy",
    "requests_per_minute": "requests in the last minute",
    "tokens_per_minute": "tokens in the last minute",
    "requests_per_day": "requests today",
    "tokens_per_day": "tokens today",
}
_PER: dict[LimitUnit, str] = {"tokens_per_minute": "a minute", "tokens_per_day": "a day"}
