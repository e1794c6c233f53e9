"""What a job will cost and take, from a sample of its items. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from statistics import NormalDist

from typing_extensions import override

from aegis_graph.bulk.records import JobFacts
from aegis_graph.bulk.sample import SampledItem
from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import NANO_PER_USD

CONFIDENCE = 0.95
"""How often such an interval has what it is about, where the items are alike."""

_FEW = (12.706, 4.303, 3.182, 2.776)
"""The bounds for few degrees of freedom, where an expansion is too far off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForecast:
    """What all items of a job will cost and take, those that have their results included.

    The intervals hold what they are about in 19 of 20 samples, where the items that were chosen are
    like the others: a few that are far dearer may all be among those that were not.
    """

    total: int
    """Items of the job."""
    sample: int
    """Those from which this is."""
    cost_usd: Decimal
    least_cost_usd: Decimal
    most_cost_usd: Decimal
    seconds: float
    """Until the last of those that are left has its result."""
    least_seconds: float
    most_seconds: float

    @override
    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.total:,} items: ${self.cost_usd:f} (${self.least_cost_usd:f} to"
            f" ${self.most_cost_usd:f}), {self.seconds:,.0f} s ({self.least_seconds:,.0f} to"
            f" {self.most_seconds:,.0f}) from here, by {self.sample} of them"
        )


def forecast_of(facts: JobFacts, sample: Sequence[SampledItem], *, at_once: int) -> JobForecast:
    """Forecast a job.

    Args:
        facts: How far it is.
        sample: What some of its items came to.
        at_once: How many items run at the same time.

    Raises:
        InvalidRequestError: No item of the sample has ended.

    Example:
        >>> same = [SampledItem(2_000_000, 1.0)] * 4
        >>> sum_of_rest(6, [Decimal(one.nano_usd) for one in same]).likely
        Decimal('12000000')
    """
    if not sample:
        raise InvalidRequestError(
            "forecast: none of the items has a result; see why in the job's status, and run again"
        )
    rest = facts.open
    money = sum_of_rest(rest, [Decimal(one.nano_usd) for one in sample])
    time = sum_of_rest(rest, [Decimal(str(one.seconds)) for one in sample])
    spent = facts.spent_nano_usd
    return JobForecast(
        total=facts.total,
        sample=len(sample),
        cost_usd=_usd(spent + money.likely, ROUND_CEILING),
        least_cost_usd=_usd(spent + money.least, ROUND_FLOOR),
        most_cost_usd=_usd(spent + money.most, ROUND_CEILING),
        seconds=float(time.likely) / at_once,
        least_seconds=float(time.least) / at_once,
        most_seconds=float(time.most) / at_once,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A sum that is not known yet, and its interval."""

    likely: Decimal
    least: Decimal
    most: Decimal


def sum_of_rest(rest: int, sample: Sequence[Decimal]) -> Estimate:
    """The sum over so many items that are like a sample, by Student's distribution.

    Args:
        rest: How many there are beside the sample.
        sample: Their value, for each of the sample; at least one.
    """
    number = len(sample)
    mean = sum(sample, Decimal(0)) / number
    likely = rest * mean
    if number < 2:
        # One item says nothing of how far others are from it.
        return Estimate(likely, Decimal(0) if rest else likely, 2 * likely)
    variance = sum(((one - mean) ** 2 for one in sample), Decimal(0)) / (number - 1)
    # That of the mean that is not known, and that of the items themselves.
    spread = (variance * rest * (1 + Decimal(rest) / number)).sqrt()
    around = Decimal(str(round(student(number - 1), 6))) * spread
    return Estimate(likely, max(Decimal(0), likely - around), likely + around)


def student(freedom: int) -> float:
    """The bound of Student's distribution at the confidence of a forecast.

    Hill's expansion in the normal bound: within 0.2 % from five degrees on, below which is a table.

    Example:
        >>> round(student(49), 2)
        2.01
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _usd(nano_usd: Decimal, rounding: str) -> Decimal:
    return (nano_usd / NANO_PER_USD).quantize(Decimal("0.000001"), rounding).normalize()
