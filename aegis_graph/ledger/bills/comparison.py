"""What a bill has other than the ledger, and why: parts that add up to the difference. Pure.

Amounts are exact decimals. Where a bill tells calls or tokens, a part is known; else it is inferred
from what is the same on all days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal, get_args

from aegis_graph.ledger.bills.bill_line import BillLine
from aegis_graph.ledger.bills.booked import BookedCalls
from aegis_graph.ledger.bills.fields import NANO
from aegis_graph.ledger.bills.groups import BilledGroup, group
from aegis_graph.pricing.prices import STANDARD_TIERS

Cause = Literal["held", "late", "not_ours", "cache", "tier", "price", "rounding"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

NEAR_MIDNIGHT = timedelta(hours=1)
"""How far from a day's end a call may be for the bill to have it on the other day: a provider
counts it when it ends, and the ledger when it is admitted."""
SAME_RATIO = Decimal("0.01")
"""By how much the ratio of bill and ledger may differ between days for it to be one price."""


@dataclass(slots=True)
class ComparedGroup:
    """One day of one model, compared."""

    group: BilledGroup
    parts: dict[Cause, Decimal] = field(default_factory=dict)
    inferred: bool = False
    """Whether the bill tells neither calls nor tokens, so that a cause is concluded."""
    volume_usd: Decimal | None = None
    """What tokens cost that only one side has, where the bill tells tokens."""

    @property
    def difference(self) -> Decimal:
        """By how much the bill is above the ledger, in USD."""
        return self.group.bill_usd - self.group.ledger_usd

    @property
    def rest(self) -> Decimal:
        """What of the difference is not explained yet."""
        return self.difference - sum(self.parts.values(), Decimal(0))

    @property
    def movable_usd(self) -> Decimal:
        """What calls would explain that the other side has on another day."""
        return self.rest if self.volume_usd is None else self.volume_usd

    def take(self, cause: Cause, usd: Decimal) -> None:
        """Explain some of the difference."""
        if usd:
            self.parts[cause] = self.parts.get(cause, Decimal(0)) + usd

    @property
    def held_is_usd(self) -> Decimal:
        """What the held rows have really cost, as far as the bill tells."""
        held = self.group.booked_usd("held_usd")
        return min(held, max(Decimal(0), held + self.parts.get("held", Decimal(0))))

    def is_rounding(self) -> bool:
        """Whether the rest is no more than amounts were rounded by."""
        unit = sum((one.unit_usd for one in self.group.lines), Decimal(0))
        return abs(self.rest) <= unit + self.group.calls * NANO


def compare(lines: Iterable[BillLine], booked: Iterable[BookedCalls]) -> list[ComparedGroup]:
    """Compare a bill with the ledger, day by day and model by model."""
    compared = [ComparedGroup(one) for one in group(lines, booked)]
    for one in compared:
        _explain_by_counts(one)
    by_model: defaultdict[tuple[str, str], list[ComparedGroup]] = defaultdict(list)
    for one in compared:
        by_model[one.group.provider, one.group.model].append(one)
    for days in by_model.values():
        for earlier, later in pairwise(days):
            _move_over_midnight(earlier, later)
        for one in days:
            _explain_rest(one, days)
    assert all(one.rest == 0 for one in compared), "the parts add up to each difference"
    return compared


def _explain_by_counts(one: ComparedGroup) -> None:
    """What the bill's own tokens or calls say, and what the held rows may have been."""
    group = one.group
    held, open_usd = group.booked_usd("held_usd"), group.booked_usd("open_usd")
    if not group.booked:
        return
    tokens = group.billed_tokens()
    if tokens:
        _explain_by_tokens(one)
        return
    calls = group.bill_calls
    if calls is not None and calls > group.calls and not open_usd:
        one.take("not_ours", _rounded(group.bill_usd * (calls - group.calls) / calls))
    if held or open_usd:
        # Bounds of what is unknown: within them, all that is billed beside the known is theirs.
        theirs = min(max(one.rest + held, Decimal(0)), held + open_usd)
        one.take("held", theirs - held)


def _explain_by_tokens(one: ComparedGroup) -> None:
    group, billed = one.group, one.group.billed_tokens()
    unit = {kind: usd / count for kind, (count, usd) in billed.items() if count}
    more = {
        kind: count - sum(getattr(calls, f"{kind}_tokens") for calls in group.booked)
        for kind, (count, _) in billed.items()
    }
    read, cached = more.get("input", 0), more.get("cached_input", 0)
    if read * cached < 0 and {"input", "cached_input"} <= unit.keys():
        moved = min(abs(read), abs(cached)) * (1 if cached > 0 else -1)
        one.take("cache", _rounded(moved * (unit["cached_input"] - unit["input"])))
        more["input"] += moved
        more["cached_input"] -= moved
    volume = _rounded(sum((unit[kind] * more[kind] for kind in unit), Decimal(0)))
    held, open_usd = group.booked_usd("held_usd"), group.booked_usd("open_usd")
    theirs = min(max(volume, Decimal(0)), held + open_usd)
    one.take("held", theirs - held)
    one.volume_usd = volume - theirs


def _move_over_midnight(earlier: ComparedGroup, later: ComparedGroup) -> None:
    """Calls near the end of a day that a bill has on the other one."""
    midnight = earlier.group.period.end
    wanted = earlier.movable_usd, later.movable_usd
    if midnight != later.group.period.start or wanted[0] * wanted[1] >= 0:
        return
    # What moves is the ledger's, on the side on which the ledger has more.
    fuller = earlier if wanted[0] < 0 else later
    near = sum(
        (
            calls.known_usd
            for calls in fuller.group.booked
            if abs(calls.moment - midnight) <= NEAR_MIDNIGHT
        ),
        Decimal(0),
    )
    moved = min(abs(wanted[0]), abs(wanted[1]), near)
    for one, usd in zip((earlier, later), wanted, strict=True):
        share = moved if usd > 0 else -moved
        one.take("late", share)
        if one.volume_usd is not None:
            one.volume_usd -= share


def _explain_rest(one: ComparedGroup, days: Sequence[ComparedGroup]) -> None:
    if one.volume_usd:
        one.take("not_ours" if one.volume_usd > 0 else "late", one.volume_usd)
    if not one.rest:
        return
    if one.is_rounding():
        one.take("rounding", one.rest)
        return
    group = one.group
    counted = bool(group.billed_tokens()) or group.bill_calls is not None
    one.inferred = bool(group.booked) and not counted
    if not group.booked:
        one.take("not_ours", one.rest)
    elif not group.lines:
        # A provider bills what it has counted; nothing of it is there yet.
        one.take("late", one.rest)
    elif _tiers(line.tier for line in group.lines) != _tiers(call.tier for call in group.booked):
        one.take("tier", one.rest)
    elif _has_other_cache(group):
        one.take("cache", one.rest)
    elif one.inferred and one.rest > 0 and not _is_one_price(days):
        one.take("not_ours", one.rest)
    else:
        one.take("price", one.rest)


def _tiers(names: Iterable[str | None]) -> set[str]:
    return {name for name in names if name and name not in STANDARD_TIERS}


def _has_other_cache(group: BilledGroup) -> bool:
    """Whether the bill has cached input and the ledger has none, or the other way round."""
    kinds = {line.kind for line in group.lines}
    if not kinds & {"input", "cached_input"} or group.billed_tokens():
        return False
    billed = any(line.kind == "cached_input" and line.usd for line in group.lines)
    return billed != any(calls.cached_input_tokens for calls in group.booked)


def _is_one_price(days: Sequence[ComparedGroup]) -> bool:
    """Whether the bill is the ledger by one factor, on all days of a model that have both."""
    ratios = [one.group.bill_usd / one.group.ledger_usd for one in days if one.group.ledger_usd]
    return bool(ratios) and max(ratios) - min(ratios) <= SAME_RATIO * min(ratios, key=abs)


def _rounded(usd: Decimal) -> Decimal:
    """A share of an amount: what is cut off stays in the rest."""
    return usd.quantize(NANO)
