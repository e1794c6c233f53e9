"""What an update of an index did, and what an index has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aegis_graph.components.documents.skipped import SkippedDocument
from aegis_graph.types import AttemptRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatus:
    """What is in an index."""

    documents: int
    """Documents of which there are passages."""
    passages: int
    roots: tuple[str, ...]
    """The files and folders that it is made from."""
    spaces: Mapping[str, int]
    """How many texts have vectors, by the model of the vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """What an update did."""

    added: int
    changed: int
    removed: int
    unchanged: int
    skipped: tuple[SkippedDocument, ...]
    """What was not read, or not all of it, and why; also what an earlier update found out."""
    status: IndexStatus
    """The index as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveReport:
    """What was taken out of an index."""

    documents: int
    passages: int
    vectors: int
    """Those of texts that no other document has."""
    status: IndexStatus
    """The index as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedReport:
    """What a run of embedding did."""

    embedded: int
    """Texts whose vectors are kept since this run."""
    left: int
    """Texts without a vector: they are found by their words."""
    reason: str | None
    """Why some are left; ``None`` where none is."""
    attempts: tuple[AttemptRecord, ...]
    """The calls that went through the router."""

    @property
    def cost_usd(self) -> Decimal:
        """What the run cost, in USD."""
        return sum((Decimal(one["cost_usd"]) for one in self.attempts), Decimal(0))
