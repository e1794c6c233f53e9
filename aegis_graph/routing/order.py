"""In which order the providers that may serve a request are asked, and why.

Pure: no clock and no store; the same facts give the same order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from aegis_graph.pricing.money import short_usd_text
from aegis_graph.routing.policy import Candidate
from aegis_graph.types import Order

NOT_MEASURED = "not measured yet"
"""In place of a time: such a provider goes first, so that it is measured."""

_NAMED = 2
"""Candidates that a reason compares with."""


class Expectation(NamedTuple):
    """What is expected of one provider for one request."""

    nano_usd: int
    """The cost of an answer: the tokens at their prices, and what its failures cost on the way."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    """Of the input, those that are read from the provider's cache."""
    whole_ms: int | None = None
    """To the end of an answer, with what its failures take; ``None`` where none was measured."""
    first_ms: int | None = None
    """To the first token of one that comes in pieces."""


class Option(NamedTuple):
    """A candidate, and what its place goes by."""

    candidate: Candidate
    expected: Expectation
    stands_in: bool = False
    """Whether it answers where no model does, and so after all models."""

    @property
    def name(self) -> str:
        """The provider's, with the tier where there is one."""
        return self.candidate.asked_as


def in_order_of(
    order: Order,
    options: Sequence[Option],
    *,
    request_id: str,
    streams: bool = False,
    first: str | None = None,
) -> list[Candidate]:
    """The candidates as they are asked, each with what is expected of it and the reason.

    By ``price``, the order costs least that ends with an answer. Where attempts cost ``a`` and are
    answered with probability ``p``, it is the one of growing ``a / p`` (exchanging two neighbours
    out of it makes the expected sum larger), which is what ``Expectation.nano_usd`` is.

    Args:
        order: By what.
        options: The candidates, as they are listed.
        request_id: Draws among those with weights: the same request is drawn the same place.
        streams: Whether the first token counts, and not the end.
        first: The provider that the request has waited for, and which it asks again now.
    """
    ranked = _drawn(options, request_id)
    if order == "price":
        ranked.sort(key=_by_price)
    elif order == "latency":
        ranked.sort(key=lambda one: _wait_ms(one.expected, streams=streams) or 0)
    # Stable, so that what stands in keeps its place among its like.
    ranked.sort(key=lambda one: (one.name != first, one.stands_in))
    texts = [_text(order, option, streams=streams) for option in ranked]
    return [
        option.candidate._replace(
            reason=_reason(order, option, texts[place], _others(ranked, texts, place)),
            expected_nano_usd=option.expected.nano_usd,
        )
        for place, option in enumerate(ranked)
    ]


def _by_price(option: Option) -> tuple[int, bool]:
    nano_usd = option.expected.nano_usd
    return nano_usd, nano_usd == 0 and option.candidate.spec.location != "local"


def _wait_ms(expected: Expectation, *, streams: bool) -> int | None:
    if streams and expected.first_ms is not None:
        return expected.first_ms
    return expected.whole_ms


def _drawn(options: Sequence[Option], request_id: str) -> list[Option]:
    """The options with neighbours that have weights in an order that is drawn by these."""
    if all(one.candidate.spec.weight is None for one in options):
        return list(options)
    drawn: list[Option] = []
    for weighted, group in groupby(options, lambda one: one.candidate.spec.weight is not None):
        found = list(group)
        drawn += sorted(found, key=lambda one: _draw(one, request_id)) if weighted else found
    return drawn


def _draw(option: Option, request_id: str) -> float:
    """An exponential draw with the weight as its rate: the smallest is each one's by its share.

    Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    digest = hashlib.sha256(f"{request_id}:{option.name}".encode()).digest()
    uniform = (int.from_bytes(digest[:6]) + 1) / 2**48
    return -math.log(uniform) / (option.candidate.spec.weight or 1)


def _text(order: Order, option: Option, *, streams: bool) -> str:
    """The number that an option's place goes by."""
    if order == "price":
        return f"${short_usd_text(option.expected.nano_usd)}"
    if order == "latency":
        ms = _wait_ms(option.expected, streams=streams)
        return NOT_MEASURED if ms is None else f"{ms / 1000:.2g} s"
    return ""


def _others(ranked: Sequence[Option], texts: Sequence[str], place: int) -> str:
    places = range(place + 1, min(place + 1 + _NAMED, len(ranked)))
    return ", ".join([f"{ranked[one].name} {texts[one]}" for one in places])


def _reason(order: Order, option: Option, text: str, others: str) -> str:
    if order == "weighted":
        weight = option.candidate.spec.weight
        return option.candidate.reason if weight is None else f"drawn by its weight of {weight}"
    reason = text if text == NOT_MEASURED else f"expected {text}"
    if order == "price" and option.expected.cached_tokens and option.expected.nano_usd:
        reason += f" with {option.expected.cached_tokens:,} tokens from its cache"
    return f"{reason}; {others}" if others else reason
