"""A search that always finds: what a model makes of the right passages is its own doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis_graph.components.documents.langchain import document_of
from aegis_graph.text.passages import Passage
from scoring.own_data import OwnQuestion


class GoldPassages:
    """Gives each question the passages that hold its gold quotes, and nothing beside them.

    Args:
        passages: Of all documents.
        questions: Those that the documents answer.
    """

    def __init__(self, passages: Sequence[Passage], questions: Sequence[OwnQuestion]) -> None:
        self._found = {
            one.question: [document_of(passage) for passage in passages if _holds(passage, one)]
            for one in questions
        }

    async def afind(self, question: str) -> Mapping[str, Any]:
        """As a retriever does."""
        return {"documents": self._found[question]}


def _holds(passage: Passage, question: OwnQuestion) -> bool:
    return any(
        passage.source.endswith(gold.document) and gold.is_in(passage.text)
        for gold in question.passages
    )
