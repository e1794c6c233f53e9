"""What telemetry is given of one call to a provider: before it, and when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage

from aegis_graph.types import SettlementRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """A call that is about to be made."""

    number: int
    """1 for the first attempt of the request."""
    provider: str
    """The name of its row."""
    model: str
    system: str
    """The provider's name in OpenTelemetry's conventions."""
    operation: Literal["chat", "embeddings"]
    address: str | None
    """Where the call goes; ``None`` where it stays in the process or only the kind knows."""
    max_tokens: int
    """The output cap that is sent."""
    streams: bool
    messages: Sequence[BaseMessage]
    text_only: bool
    """Whether all of its input is text."""
    counted_elsewhere: bool
    """Whether another instrumentation makes a span with the tokens of the same call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCall:
    """A call that has ended."""

    settlement: SettlementRecord
    has_usage: bool
    """Whether the settlement's tokens are the provider's own count, and no upper bound."""
    first_ms: int | None
    """When the first piece of the answer came, in milliseconds."""
    answer: AIMessage | None
    """Also where it was paid for and then refused."""
    reason: str
    """Why the attempt failed; empty where it did not."""
