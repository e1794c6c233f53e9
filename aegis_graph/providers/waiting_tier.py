"""A provider's tier at half the price: the same model, for requests that can wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.types import asked_as

BATCH = "batch"
"""The tier of batches, as ``price.service_tiers`` and the ledger name it."""


class BatchFiles(NamedTuple):
    """Where a provider takes files of many calls, each a line, and how large they may be."""

    url: str
    """The address of OpenAI's protocol."""
    most_bytes: int
    """Of a file."""
    most_line_bytes: int
    name_key: str
    """The key of a batch's metadata for the name that it is found by."""
    free_errors: bool = False
    """Whether a line that ended in an error is sure to cost nothing."""
    most_lines: int = 50_000
    """Calls in a file."""
    window: str = "24h"
    """Within which a batch is served, in the protocol's words; what is not served then is void."""
    window_s: float = 86_400.0


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

    batch_files: BatchFiles | None = None
    """Where the files go whose lines its calls are; ``None`` for calls of their own."""

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

    def open_batches(self) -> Any:
        """Build the provider whose calls are lines of batch files; a kind with such overrides this.

        Raises:
            ConfigError: The kind has none, or the row cannot use them.
        """
        raise self.no_batches(f"the kind {self.spec.kind!r} has none")

    def no_batches(self, why: str) -> ConfigError:
        """Says why the row's calls cannot be lines of batch files."""
        return ConfigError(f"providers.{self.spec.name}: no batch files: {why}")

    def no_waiting(self, source: str, why: str) -> ConfigError:
        """Says why the row cannot be asked at half the price, and what to do."""
        return ConfigError(f"{source}: providers.{self.spec.name}.half_price: {why}")
