"""What of a passage can be quoted: a sentence, a bullet, a table's row, a whole block of code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aegis_graph.text.passages import NumberedPassage
from aegis_graph.text.quoting.markup import without_markup
from aegis_graph.text.sentences import Sentence, SentenceKind, split_sentences

LONGEST_ITEM = 500
"""Characters of a bullet that is quoted whole."""

_RELEASE_SOURCE = re.compile(
    r"(?:release|changelog|changes|history|whats.?new|versionshinweis|neuerung|änderung)[^/]*$",
    re.IGNORECASE,
)
_RELEASE_HEADING = re.compile(
    r"(?:^|\n)\W*(?:(?:version|release)?\s*v?\d+\.\d+(?:\.\d+)*\b|change ?log|release notes?"
    r"|what(?:'|\u2019)?s new|unreleased|versionshinweise|neuerungen|änderungsprotokoll)",
    re.IGNORECASE,
)
RELEASE = re.compile(r"\W*(?:(?:version|release)\s*)?v?\d+\.\d+(?:\.\d+)*\b", re.IGNORECASE)
"""The heading of a release."""
_RELEASE_LINE = re.compile(r"(?:\(#\d+\)|\b\d{1,2}/\d{1,2}/\d{2}\s+[0-9a-f]{7,})\W*$")
_LEADS = re.compile(r"(?::|\.\.\.|\u2026)[*_]*\s*$")


@dataclass(frozen=True, slots=True)
class Quotable:
    """Something that can be quoted, exactly as the passage has it."""

    n: int
    """Number of the passage."""
    start: int
    """Where it begins in the passage's text."""
    text: str
    kind: SentenceKind
    source: str
    """The passage's document."""
    headings: tuple[str, ...] = ()
    """What it stands under, the nearest last."""
    lead: str = ""
    """The line that leads into its list."""
    table_head: str = ""
    paragraph: int = 0
    """Pieces of one paragraph or list have one number."""
    first: bool = False
    """Whether it is the first below its heading."""
    in_release_notes: bool = False

    @property
    def end(self) -> int:
        """Where it ends in the passage's text."""
        return self.start + len(self.text)

    @property
    def leads(self) -> bool:
        """Whether it leads into what stands below it."""
        return bool(_LEADS.search(self.text))


def read_pieces(passages: Sequence[NumberedPassage]) -> list[Quotable]:
    """The pieces of all passages, in their order, without what is no prose."""
    return [piece for passage in passages for piece in _pieces(passage)]


def _pieces(passage: NumberedPassage) -> Iterator[Quotable]:
    text = without_markup(passage.text)
    about_releases = bool(_RELEASE_SOURCE.search(re.sub(r", page \d+$", "", passage.source)))
    paragraph, heading_before, end = 0, True, 0
    groups = list(_groups(text))
    for at, group in enumerate(groups):
        first, last = group[0], group[-1]
        ends = at + 1 == len(groups) or groups[at + 1][0].kind == "heading"
        if (
            first.kind == "heading"
            and ends
            and at
            and heading_before
            and not _is_marked(text, first)
        ):
            # A word in capitals, alone below a heading, is what the heading asks for.
            first = replace(first, kind="prose")
        start, stop = first.start, last.start + len(last.text)
        if "\n\n" in text[end:start].replace(" ", "") or first.kind in {"code", "heading"}:
            paragraph += 1
        end = stop
        quoted = passage.text[start:stop]
        headings, lead = _above(first)
        notes = about_releases or bool(_RELEASE_LINE.search(quoted))
        yield Quotable(
            n=passage.n,
            start=start,
            text=quoted,
            kind=first.kind,
            source=passage.source,
            headings=headings,
            lead=lead,
            table_head=first.table_head,
            paragraph=paragraph,
            first=heading_before and first.kind != "heading",
            in_release_notes=notes or any(map(_RELEASE_HEADING.search, headings)),
        )
        heading_before = first.kind == "heading"


def _is_marked(text: str, heading: Sentence) -> bool:
    line = text[text.rfind("\n", 0, heading.start) + 1 : heading.start]
    below = text[heading.start + len(heading.text) :].lstrip("# ").split("\n", 2)[1:2]
    return "#" in line or bool(below and re.fullmatch(r" {0,3}(?:=+|-{3,})\s*", below[0]))


def _groups(text: str) -> Iterator[list[Sentence]]:
    """Sentences that are quoted together: those of a bullet, and the lines of a block of code."""
    group: list[Sentence] = []
    for sentence in split_sentences(text):
        if group and _belongs(text, group, sentence):
            group.append(sentence)
            continue
        if group:
            yield group
        group = [sentence]
    if group:
        yield group


def _belongs(text: str, group: Sequence[Sentence], sentence: Sentence) -> bool:
    last = group[-1]
    if sentence.kind != last.kind:
        return False
    between = text[last.start + len(last.text) : sentence.start]
    if sentence.kind == "code":
        return "```" not in between and "~~~" not in between
    size = sentence.start + len(sentence.text) - group[0].start
    # A mark between two sentences begins the next bullet.
    return sentence.kind == "bullet" and not between.strip() and size <= LONGEST_ITEM


def _above(sentence: Sentence) -> tuple[tuple[str, ...], str]:
    """The headings above a sentence, and the line that leads into its list."""
    parts = [part for part in sentence.context.split("\n") if part]
    if sentence.table_head and parts and parts[-1] == sentence.table_head:
        parts.pop()
    lead = parts.pop() if parts and parts[-1].endswith(":") and sentence.kind != "prose" else ""
    return tuple(parts), lead
