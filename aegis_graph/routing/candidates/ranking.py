"""The order of a request's candidates: what is expected of each, from what attempts were like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aegis_graph.config.specs import RoutingSpec
from aegis_graph.pricing.prices import NO_COST, TokenPrices
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.candidates.experience import Experience, is_warm
from aegis_graph.routing.candidates.half_price import each_before_its_own
from aegis_graph.routing.candidates.observations import Record
from aegis_graph.routing.order import Expectation, Option, in_order_of
from aegis_graph.routing.policy import Candidate, ProviderPlan
from aegis_graph.types import Order

TOKENS_OF_BOUND = (1_000, 4_000)
"""Input tokens of a request's upper bound, as long as few were counted: a token of English is about
four bytes (https://help.openai.com/en/articles/4936856)."""

FIRST_OUTPUT = 300
"""Output tokens of an answer to a task that no model has answered yet, unless the cap is lower."""

_NOTHING = Record()


@dataclass(slots=True)
class Ranking:
    """Puts candidates in order.

    Args:
        spec: The order of requests that choose none.
        experience: What earlier attempts were like.
        names: Which of a request's choices name an order of their own.
    """

    spec: RoutingSpec
    experience: Experience
    names: ProviderNames
    _prices: dict[str, tuple[datetime, Sequence[TokenPrices]]] = field(default_factory=dict)
    """Of each provider, those of the minute in which it was last looked at: a book reads slowly."""

    def order_of(self, request: Request) -> Order:
        """The order of a request: its own, that of the providers it lists, or the file's."""
        if request.order is not None:
            return request.order
        return "listed" if self.names.lists(request.selections) else self.spec.order

    def ranked(
        self,
        plan: ProviderPlan,
        request: Request,
        provider: Callable[[Candidate], Provider],
        *,
        route_id: str,
        at: datetime,
        streams: bool,
        first: str | None,
        downshift: str | None = None,
    ) -> ProviderPlan:
        """The plan with its candidates in the order of the request.

        Args:
            plan: The candidates as they are listed.
            request: What is asked.
            provider: Finds the provider of a candidate.
            route_id: The request's.
            at: The moment whose prices count.
            streams: Whether the answer is wanted in pieces.
            first: The provider that is asked again.
            downshift: Why the cheapest is asked first, whatever the order of the request.
        """
        options = []
        for candidate in plan.candidates:
            found = provider(candidate)
            expected = self.expected(found, request, at)
            options.append(Option(candidate, expected, found.stands_in))
        order = "price" if downshift else self.order_of(request)
        candidates = in_order_of(order, options, request_id=route_id, streams=streams, first=first)
        if order != "price":
            candidates = each_before_its_own(candidates)
        if downshift:
            candidates = [one._replace(reason=f"{downshift}; {one.reason}") for one in candidates]
        return ProviderPlan(candidates, plan.skipped)

    def expected(self, provider: Provider, request: Request, at: datetime) -> Expectation:
        """What is expected of a provider for a request that is admitted at this moment."""
        spec = provider.spec
        subject = (spec.name, spec.model, request.task)
        known = self.experience.record(subject, provider.tier) or _NOTHING
        measured = self.experience.measured(subject, provider.tier)
        images = request.images and sum(provider.image_bound(one.size) for one in request.images)
        text = measured.size.of(request.prompt_tokens, prior=TOKENS_OF_BOUND)
        output = self._output_tokens(provider, request, known)
        cached = self._cached_tokens(provider, request, known, text, at)
        input_tokens = text + (images or 0)
        nano_usd = known.failed_nano_usd.part and known.failed_nano_usd.of(1, prior=(0, 1))
        if provider.price is not NO_COST:
            prices = self._prices_of(provider, at)
            line = next(one for one in prices if one.up_to is None or input_tokens <= one.up_to)
            nano_usd += line.nano_usd(input_tokens, cached, output)
        failed_ms = known.failed_ms.part and known.failed_ms.of(1, prior=(0, 1))
        whole_ms, first_ms = known.whole.median_ms, measured.first.median_ms
        if whole_ms is not None or failed_ms:
            whole_ms = (whole_ms or 0) + failed_ms
        return Expectation(
            nano_usd,
            input_tokens,
            output,
            cached,
            whole_ms,
            None if first_ms is None else first_ms + failed_ms,
        )

    def _output_tokens(self, provider: Provider, request: Request, known: Record) -> int:
        cap = provider.output_bound(request.max_output_tokens or provider.spec.max_output_tokens)
        if known.output.whole:
            return min(known.output.of(1), cap)
        if provider.spec.thinking:
            # What models that do not think have answered says nothing of one that does.
            return cap
        of_task = self.experience.record(("", "", request.task))
        return min(FIRST_OUTPUT if of_task is None else of_task.output.of(1), cap)

    def _cached_tokens(
        self, provider: Provider, request: Request, known: Record, text: int, at: datetime
    ) -> int:
        before = self.experience.last_call(request.thread_id, request.task)
        spec = provider.spec
        if before is None or not is_warm(before, spec.name, spec.model, at):
            return min(text, known.cached.of(text, prior=(0, 1)))
        repeated = min(before.input_tokens, text)
        # Until it is known better, a provider that has a price for it is taken at its word.
        return min(repeated, known.repeated.of(repeated, prior=(1_000, 1_000)))

    def _prices_of(self, provider: Provider, at: datetime) -> Sequence[TokenPrices]:
        name, minute = provider.asked_as, at.replace(second=0, microsecond=0)
        known = self._prices.get(name)
        if known is None or known[0] != minute:
            thinks = provider.spec.thinking
            prices = provider.price.token_prices(at, provider.service_tier, thinks=thinks)
            known = self._prices[name] = (minute, prices)
        return known[1]
