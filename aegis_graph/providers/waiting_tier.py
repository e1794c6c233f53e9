"""A provider's tier at half the price: the same model, for requests that can wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.types import asked_as


class WaitingTier:
    """The part of a provider that has such a tier.

    The tier is a provider by the same row, so that budgets and limits are the row's. Only its calls
    differ: what they ask for, where they go, what they cost, and how long they may take.
    """

    spec: ProviderSpec

    tier: str | None = None
    """The tier at half the price that its calls ask for; ``None`` for the row's usual one."""

    least_wait_s: float = 0.0
    """How long a call must be able to wait in that tier, in seconds."""

    most_wait_s: float = math.inf
    """How long a call can wait in that tier, in seconds."""

    @property
    def asked_as(self) -> str:
        """The row's name, with the tier where there is one: what health goes by."""
        return asked_as(self.spec.name, self.tier)

    def open_waiting(self, *, source: str, environ: Mapping[str, str] | None) -> Any:
        """Build the provider in its tier at half the price; a kind that has one overrides this.

        Args:
            source: The configuration's file, for errors.
            environ: Where keys are looked up by name, by default the process's environment.

        Raises:
            ConfigError: The kind has no such tier, or the row cannot use it.
        """
        raise self.no_waiting(source, f"the kind {self.spec.kind!r} has no such tier; take it away")

    def no_waiting(self, source: str, why: str) -> ConfigError:
        """Says why the row cannot be asked at half the price, and what to do."""
        return ConfigError(f"{source}: providers.{self.spec.name}.half_price: {why}")
