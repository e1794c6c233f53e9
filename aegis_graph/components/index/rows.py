"""Passages as they come out of an index, and as documents for a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.documents import Document

from aegis_graph.components.documents.langchain import document_of
from aegis_graph.text.passages import Passage, text_in_place


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that was found."""

    id: int
    document: int
    place: int
    """Its number in its document, from 0."""
    passage: Passage
    title: str
    sensitivity: str | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> FoundPassage:
        """A row of ``schema.ROW``."""
        number, document, place, text, heading, start, page, slide, sheet, first, last = row[:11]
        source, title, sensitivity = row[11:]
        passage = Passage(
            source=source,
            text=text,
            start=start,
            page=page,
            heading=heading,
            slide=slide,
            sheet=sheet,
            lines=None if first is None else (first, last),
        )
        return cls(number, document, place, passage, title, sensitivity)

    def followed_by(self, after: FoundPassage) -> FoundPassage:
        """This passage and the one after it, as one."""
        one, other = self.passage, after.passage
        lines = one.lines and other.lines and (one.lines[0], other.lines[1])
        # A page has the number that it begins with.
        return replace(
            self, passage=replace(one, text=f"{one.text}\n\n{other.text}", lines=lines or one.lines)
        )

    def as_document(self) -> Document:
        """The passage under its title and section, with its place in the metadata."""
        document = document_of(self.passage)
        document.page_content = text_in_place(self.title, self.passage)
        document.metadata["title"] = self.title
        if self.sensitivity is not None:
            document.metadata["sensitivity"] = self.sensitivity
        document.id = str(self.id)
        return document
