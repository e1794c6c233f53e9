"""The base of the kinds that run in this process: no key, no network, one model."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import MalformedAnswerError, ProviderError
from aegis_graph.pricing.prices import NO_COST, Price
from aegis_graph.providers.base import Provider
from aegis_graph.providers.probe import Probe
from aegis_graph.request.options import SAMPLING
from aegis_graph.types import CallOptions


class InProcessProvider(Provider):
    """A model of this package's own, which needs nothing, so that a chain always ends somewhere."""

    model_name: str
    """The only model of the kind."""
    activity: str
    """What it does, for the error that says that it failed."""
    stands_in = True
    sampling = frozenset(SAMPLING)
    """Every one: it gives the same answer to the same question, which no choice of words changes.
    """

    @override
    def own_price(self) -> Price:
        """It costs nothing."""
        return NO_COST

    @override
    def priced_spec(self) -> ProviderSpec:
        """A price in the row means nothing for it."""
        return self.spec.model_copy(update={"price": None})

    @property
    @override
    def takes_tools(self) -> bool:
        """It calls nothing."""
        return False

    @property
    @override
    def structured(self) -> None:
        """It has one form of answer."""
        return

    @override
    def option_arguments(self, options: CallOptions) -> dict[str, Any]:
        """Where to stop; there is nothing else to ask for."""
        return {"stop": options["stop"]} if "stop" in options else {}

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """The cap, which these models count in words."""
        return {"max_tokens": max_output_tokens}

    @override
    def translate(self, error: Exception) -> ProviderError:
        """Any error in here is a fault that asking again does not cure."""
        return MalformedAnswerError(f"{self.activity} failed: {type(error).__name__}")

    @override
    async def probe(self) -> Probe:
        """Whether what it needs is installed."""
        missing = self.missing_package()
        there = self.spec.model == self.model_name
        detail = "" if there else f"the only model of this kind is {self.model_name!r}"
        return Probe(missing is None, there, f"needs: {missing}" if missing else detail)
