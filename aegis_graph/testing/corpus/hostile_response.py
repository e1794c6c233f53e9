"""What one hostile response is: its bytes, and what is right to make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aegis_graph.testing.loopback.journal import ProtocolName
from aegis_graph.testing.loopback.replies import RawReply
from aegis_graph.types import CostBasis

PRODUCED: tuple[CostBasis, ...] = ("held", "estimated")
"""The work may have been done, and the provider gave no count that can be believed."""
PAID: tuple[CostBasis, ...] = ("held", "estimated", "reported")
"""The work was done, whatever is known of its size."""
FREE: tuple[CostBasis, ...] = ("none",)
"""The provider did no work."""

BROKEN = ("MalformedAnswerError", "ProviderUnavailableError", "StreamCutError")
"""Classes of an answer whose bytes cannot be read, or do not come to their end."""
EMPTY = ("ContentRefusedError", "MalformedAnswerError", "StreamCutError", "UnfitAnswerError")
"""Classes of an answer that is readable, and has nothing in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is right to make of a response: an answer, a failed attempt, or either of them.

    A failed attempt costs what ``bases`` say, and the next provider is asked.
    """

    texts: frozenset[str] = frozenset()
    """The answers that are right; none where the attempt has to fail."""
    errors: frozenset[str] = frozenset()
    """Names of the classes that are right; none where the answer has to be given out."""
    bases: frozenset[CostBasis] = frozenset()
    """How the cost may be known."""
    tokens: tuple[int, int] | None = None
    """Input and output tokens of the ledger's row where the basis is ``reported``."""
    finish_reason: str | None = None
    """The answer's finish reason in the router's word, where it matters."""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] | None = None
    """Names and arguments of the answer's tool calls, where it matters."""

    def __or__(self, other: Outcome) -> Outcome:
        """Either of two outcomes is right."""
        return Outcome(
            texts=self.texts | other.texts,
            errors=self.errors | other.errors,
            bases=self.bases | other.bases,
            tokens=self.tokens or other.tokens,
            finish_reason=self.finish_reason or other.finish_reason,
            calls=self.calls or other.calls,
        )


def answered(
    *texts: str,
    bases: tuple[CostBasis, ...] = ("reported",),
    tokens: tuple[int, int] | None = (50, 6),
    **more: Any,
) -> Outcome:
    """The answer is given out, and its cost is known so."""
    return Outcome(texts=frozenset(texts), bases=frozenset(bases), tokens=tokens, **more)


def failed(*errors: str, bases: tuple[CostBasis, ...] = PRODUCED) -> Outcome:
    """The attempt failed with one of these classes, and its cost is known so."""
    return Outcome(errors=frozenset(errors), bases=frozenset(bases))


class Forms(NamedTuple):
    """The bytes of a response, for a client that wants it whole and for one that streams."""

    whole: RawReply | None = None
    streamed: RawReply | None = None


@dataclass(frozen=True, slots=True)
class HostileResponse:
    """One response of a server, to the byte, and what is right to make of it."""

    name: str
    """Unique within its wire; the group stands before the colon."""
    wire: ProtocolName
    forms: Forms
    """A form is absent where the response has no meaning in it."""
    outcome: Outcome
    offers_tools: bool = field(default=False, kw_only=True)
    """Whether the request that it answers offers the tool ``weather``."""

    @property
    def hangs(self) -> bool:
        """Whether only a time limit ends the call."""
        return any(form is not None and form.ending == "hang" for form in self.forms)

    def reply(self, *, streamed: bool) -> RawReply | None:
        """The bytes for one call; ``None`` where this response has no such form."""
        return self.forms.streamed if streamed else self.forms.whole
