"""A search that always finds: what a model makes of the right passages is its own doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aegis_graph.components.documents.langchain import document_of
from aegis_graph.text.passages import Passage, text_in_place
from scoring.own_data import OwnQuestion


class GoldPassages:
    """Gives each question the passages that hold its gold quotes, and nothing beside them.

    Args:
        passages: Of all documents.
        questions: Those that the documents answer.
    """

    def __init__(self, passages: Sequence[Passage], questions: Sequence[OwnQuestion]) -> None:
        titles: dict[str, str] = {}
        for passage in passages:
            titles.setdefault(passage.source, passage.heading)
        self._found = {
            one.question: [
                # As a retriever shows it.
                document_of(replace(each, text=text_in_place(titles[each.source], each)))
                for each in passages
                if _holds(each, one)
            ]
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
