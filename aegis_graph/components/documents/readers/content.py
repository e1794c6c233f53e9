"""What a reader gets, and what it makes of it: sections of text that know where they stand."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aegis_graph.components.documents.lines import LineCounter
from aegis_graph.components.documents.splitting import split_text
from aegis_graph.errors import DocumentError
from aegis_graph.text.passages import Passage

OcrReader = Callable[[bytes], str]
"""Gives the text in a picture."""

MAX_TEXT_CHARS = 100_000_000
"""Characters of one document that are read, at most: what a small archive may unpack to is bounded
as well as what is in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDocument:
    """The bytes of a document, and what its reader may use."""

    data: bytes
    suffix: str = ""
    """Of the file's name, in lower case, with the dot."""
    ocr: OcrReader | None = None
    """Reads scanned pages; ``None`` where its extra is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A page, a slide, a sheet, a chapter, or all of a text; headings and tables as in Markdown."""

    text: str
    heading: str = ""
    """What it stands under, where its text does not say so itself."""
    page: int | None = None
    slide: int | None = None
    sheet: str = ""
    first_line: int | None = None
    """The line of the file that the text begins with, where its lines are those of the file."""
    code: bool = False
    """Whether it is source code."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader found in a document."""

    sections: Iterable[Section]
    title: str = ""
    notes: list[str] = field(default_factory=list)
    """What could not be read of it, each in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    """A document that was read."""

    path: Path
    """The file, for this machine only: it is in no passage."""
    source: str
    """Its name in passages, prompts and citations."""
    title: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The sections' texts, joined by line breaks: what passages count their start in."""
        return "\n".join(section.text for section in self.sections)

    def passages(self) -> list[Passage]:
        """The document in pieces of a few hundred characters, in order."""
        found: list[Passage] = []
        start = 0
        for section in self.sections:
            found += self._passages_of(section, start)
            # The line break between two sections counts as well.
            start += len(section.text) + 1
        return found

    def _passages_of(self, section: Section, start: int) -> Iterable[Passage]:
        lines = LineCounter(section.text, section.first_line)
        for piece in split_text(section.text, code=section.code, repeat_heads=True):
            yield Passage(
                source=self.source,
                text=piece.head + section.text[piece.begin : piece.end],
                start=start + piece.begin,
                page=section.page,
                heading=piece.heading or section.heading or self.title,
                slide=section.slide,
                sheet=section.sheet,
                lines=lines.between(piece.begin, piece.end),
            )


def unfit(reason: str, message: str) -> DocumentError:
    """The error of a document that cannot be read, without its name, which the caller knows."""
    return DocumentError.because(reason, message)


def fenced_code(text: str, *, language: str = "") -> str:
    r"""A block of code as in Markdown, which nothing inside of it ends.

    Example:
        >>> fenced_code("print(1)\n", language="python")
        '```python\nprint(1)\n```'
    """
    body = text.strip("\n").replace("```", "'''")
    return f"```{language}\n{body}\n```"


def path_within(folder: str, reference: str) -> str:
    """A reference between the files of an archive, as the name of one of them."""
    return posixpath.normpath(posixpath.join(folder, reference.partition("#")[0]))
