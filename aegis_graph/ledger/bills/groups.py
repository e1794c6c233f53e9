"""Puts the lines of a bill beside the calls that they are for: by period, provider and model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.bills.bill_line import BillLine, Period, TokenKind
from aegis_graph.ledger.bills.booked import BookedCalls, HeldRow
from aegis_graph.ledger.bills.openai_costs import ALL_MODELS

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4}|\d{8}|latest)$")
"""What providers put behind a model's name for its version."""


@dataclass(slots=True)
class BilledGroup:
    """One day of one model: what was billed for it, and what the ledger has."""

    period: Period
    provider: str
    model: str
    lines: list[BillLine] = field(default_factory=list)
    booked: list[BookedCalls] = field(default_factory=list)

    @property
    def bill_usd(self) -> Decimal:
        """What was billed."""
        return sum((one.usd for one in self.lines), Decimal(0))

    def booked_usd(self, column: str) -> Decimal:
        """The sum of a column of the ledger's calls."""
        return sum((getattr(one, column) for one in self.booked), Decimal(0))

    @property
    def ledger_usd(self) -> Decimal:
        """What the ledger counts as spent."""
        return self.booked_usd("known_usd") + self.booked_usd("held_usd")

    @property
    def calls(self) -> int:
        """The ledger's."""
        return sum(one.calls for one in self.booked)

    @property
    def bill_calls(self) -> int | None:
        """The bill's; ``None`` where a line does not say it."""
        counts = [one.calls for one in self.lines if one.calls is not None]
        return sum(counts) if counts and len(counts) == len(self.lines) else None

    def billed_tokens(self) -> dict[TokenKind, tuple[int, Decimal]]:
        """The tokens of each kind and their amount; empty where a line does not say them."""
        found: dict[TokenKind, tuple[int, Decimal]] = {}
        for line in self.lines:
            if line.kind is None or line.tokens is None:
                return {}
            tokens, usd = found.get(line.kind, (0, Decimal(0)))
            found[line.kind] = (tokens + line.tokens, usd + line.usd)
        return found


def group(lines: Iterable[BillLine], booked: Iterable[BookedCalls]) -> list[BilledGroup]:
    """Each day, provider and model of a bill with the calls that belong to it.

    Calls of a billed provider and day of which no line names the model have a group of their own;
    calls of other providers are left out.
    """
    found: dict[tuple[Period, str, str], BilledGroup] = {}
    models: defaultdict[tuple[Period, str], list[str]] = defaultdict(list)

    def of(period: Period, provider: str, model: str) -> BilledGroup:
        key = (period, provider, model)
        return found.setdefault(key, BilledGroup(period, provider, model))

    for line in lines:
        of(line.period, line.provider, line.model).lines.append(line)
        models[line.period, line.provider].append(line.model)
    periods = [(one, provider) for provider, days in _days(models) for one in days]
    known = sorted({model for names in models.values() for model in names})
    for calls in booked:
        for period, provider in periods:
            if provider == calls.provider and period.start <= calls.moment < period.end:
                names = models.get((period, provider), [])
                model = billed_name(calls, names) or billed_name(calls, known)
                of(period, provider, model or calls.served_model).booked.append(calls)
    return sorted(found.values(), key=lambda one: (one.period, one.provider, one.model))


def _days(billed: Iterable[tuple[Period, str]]) -> Iterator[tuple[str, list[Period]]]:
    """The periods of each provider, and the days between them for which it billed nothing.

    Raises:
        ConfigError: Two periods of a provider overlap.
    """
    by_provider: defaultdict[str, list[Period]] = defaultdict(list)
    for period, provider in sorted(billed):
        by_provider[provider].append(period)
    for provider, known in by_provider.items():
        days = known[:1]
        for period in known[1:]:
            if period.start < days[-1].end:
                raise ConfigError(
                    f"--bill: periods of {provider} overlap at {period.start:%Y-%m-%d %H:%M} UTC"
                )
            while period.start - days[-1].end >= timedelta(days=1):
                days.append(Period(days[-1].end, days[-1].end + timedelta(days=1)))
            days.append(period)
        yield provider, days


def billed_name(calls: BookedCalls | HeldRow, names: Sequence[str]) -> str | None:
    """What a bill calls the model of some calls, among the names that it has."""
    if ALL_MODELS in names:
        return ALL_MODELS
    # A library's name has the provider in front.
    own = [calls.served_model, calls.model, calls.model.partition(":")[2]]
    for name in filter(None, own):
        if name in names:
            return name
    undated = {_DATED.sub("", name) for name in own if name}
    return next((name for name in names if _DATED.sub("", name) in undated), None)
