"""What a run of LightRAG bought: by operation and by document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, get_args

from typing_extensions import TypedDict

from aegis_graph.components.router_node import cost_usd
from aegis_graph.types import AttemptRecord

Operation = Literal["answer", "embed", "extract", "glean", "keywords", "summary"]
"""What LightRAG asks a model for; the names are tasks of the ledger."""

OPERATIONS: tuple[Operation, ...] = get_args(Operation)


class OperationCost(TypedDict):
    """The calls of one operation."""

    calls: int
    cost_usd: str
    """Decimal text, exact."""


@dataclass(slots=True)
class Spending:
    """The attempts of one run.

    Vectors are embedded when a buffer is full, for whatever documents are in it; their cost belongs
    to no document.
    """

    attempts: list[AttemptRecord] = field(default_factory=list)
    # Beside the attempts, which are records of the ledger and know no document.
    _of: list[tuple[Operation, str | None]] = field(default_factory=list)

    def add(
        self, operation: Operation, document: str | None, attempts: Sequence[AttemptRecord]
    ) -> None:
        """Count the attempts of one request."""
        self.attempts.extend(attempts)
        self._of.extend((operation, document) for _ in attempts)

    @property
    def cost_usd(self) -> Decimal:
        """All of it."""
        return cost_usd(self.attempts)

    def by_operation(self) -> dict[str, OperationCost]:
        """What each operation cost."""
        return {
            operation: OperationCost(calls=len(rows), cost_usd=str(cost_usd(rows)))
            for operation in OPERATIONS
            if (rows := self._rows(operation=operation))
        }

    def of_document(self, document: str) -> Decimal:
        """What the model calls for one document cost, in USD."""
        return cost_usd(self._rows(document=document))

    def _rows(
        self, *, operation: Operation | None = None, document: str | None = None
    ) -> list[AttemptRecord]:
        return [
            attempt
            for attempt, (its_operation, its_document) in zip(self.attempts, self._of, strict=True)
            if operation in (None, its_operation) and document in (None, its_document)
        ]
