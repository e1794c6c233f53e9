"""Our own data: questions over documents of fiction, and sentences with their relations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_graph.components.documents.files import read_passages
from aegis_graph.text.passages import Passage

DATA = Path(__file__).parents[1] / "data"
"""Questions, relations and documents; its README says what their fields mean."""


@dataclass(frozen=True)
class GoldPassage:
    """A place that a question is answered from."""

    document: str
    """File name in ``documents``."""
    quote: str
    """Verbatim, and once in the document."""

    def is_in(self, text: str) -> bool:
        """Whether a text holds the quote, whatever its line breaks."""
        return " ".join(self.quote.split()) in " ".join(text.split())


@dataclass(frozen=True)
class OwnQuestion:
    """A question with its gold passages and accepted answers; none of both if unanswerable."""

    id: str
    language: str
    kind: str
    """``single``, ``table``, ``two`` (passages of two documents) or ``unanswerable``."""
    question: str
    answers: Sequence[Sequence[str]]
    """What has to be said, each in one of several spellings; ``re:`` begins a pattern."""
    passages: Sequence[GoldPassage]
    wrong: Sequence[str] = ()
    """What a strictly right answer must not say."""

    @property
    def answerable(self) -> bool:
        """Whether the documents answer it."""
        return bool(self.passages)


@dataclass(frozen=True)
class OwnSentence:
    """A sentence with its entities (name to type) and relations (head, relation, tail)."""

    id: str
    language: str
    kind: str
    """``plain``, ``passive``, ``two`` (relations), ``negation`` or ``none``."""
    text: str
    entities: Mapping[str, str]
    relations: frozenset[tuple[str, str, str]]


@dataclass(frozen=True)
class OwnRelations:
    """The sentences, and the schema that they are read by."""

    entity_types: Sequence[str]
    relations: Mapping[str, tuple[str, str, str]]
    """By name: type of the head, type of the tail, and what it means."""
    sentences: Sequence[OwnSentence]


def own_questions(folder: Path = DATA) -> list[OwnQuestion]:
    """The 60 questions."""
    rows = _json(folder / "questions.json")
    return [
        OwnQuestion(**{**row, "passages": [GoldPassage(**one) for one in row["passages"]]})
        for row in rows
    ]


def own_passages(folder: Path = DATA) -> list[Passage]:
    """The passages of all documents, as the retriever reads them."""
    return read_passages([folder / "documents"])


def own_relations(folder: Path = DATA) -> OwnRelations:
    """The 60 sentences."""
    data = _json(folder / "relations.json")
    return OwnRelations(
        data["entity_types"],
        {one["name"]: (one["head"], one["tail"], one["means"]) for one in data["relations"]},
        [_sentence(row) for row in data["sentences"]],
    )


def _sentence(row: Mapping[str, Any]) -> OwnSentence:
    return OwnSentence(
        row["id"],
        row["language"],
        row["kind"],
        row["text"],
        {one["name"]: one["type"] for one in row["entities"]},
        frozenset((one["head"], one["relation"], one["tail"]) for one in row["relations"]),
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
