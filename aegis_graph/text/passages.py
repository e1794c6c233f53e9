"""Numbered passages in a prompt: how they are written, read back and cited. The one place for it.

A prompt holds one block between two delimiter lines, then the question:

```
<passages>
[1] (source: docs/a.md)
The limit is 10 USD a month.
</passages>

Question: What is the limit?
```

A line of a passage that looks like part of this frame gets a backslash in front, which reading
takes away again. So no document can end the block, start a passage or ask the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_OPEN, _CLOSE, _QUESTION = "<passages>", "</passages>", "Question:"
# Backslashes in front count as well: a document's own must survive the one that reading takes away.
_FRAME = re.compile(r"\\*(?:\[\d+\] \(source: |</?passages>|Question:)")
# Nine digits are more than any prompt has; Python refuses to read thousands of them as a number.
_HEADER = re.compile(r"\[(\d{1,9})\] \(source: (.*)\)")
_RANGE = r"\d{1,3}\s*[-\u2013]\s*\d{1,3}"
_NUMBERS = rf"(?:{_RANGE}|\d{{1,4}})"
_MARK = re.compile(
    r"(?P<code>`[^`\n]+`)|(?P<space>[ \t]*)"
    r"(?:\[\[|\[\^|\u3010|\[(?:(?:source|passage|document|quelle|textstelle|dokument)s?n?:?\s+)?)"
    rf"(?P<numbers>{_NUMBERS}(?:\s*[,;]\s*{_NUMBERS})*)"
    r"(?:\u2020[^\u3011\n]{0,60})?(?:\]\]|\]|\u3011)"
    r"(?:\((?:https?:|www\.|mailto:|[/#.])[^()\s]*\))?",
    re.IGNORECASE,
)
"""A citation in any form that models are known to write: ``[1]``, ``[1, 3]``, ``[1-3]``, ``[^1]``,
``[[1]]``, ``[Source 1]``, and with brackets as in East Asian text; with a link after it, which
would lead somewhere else than to the passage."""
# Bounds what one citation stands for; of a longer range only the two ends count.
_LONGEST_RANGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document, small enough to quote from and large enough to make sense."""

    source: str
    """The document's name: its path below the folder that was given. Prompts show it, so it is
    never a path that says something about this machine."""
    text: str
    start: int = 0
    """Where the text begins in the document's text, in characters."""
    page: int | None = None
    """Page of a PDF document, counted from 1."""
    heading: str = ""
    """The heading that the text stands under, where there is one."""
    slide: int | None = None
    """Slide of a presentation, counted from 1."""
    sheet: str = ""
    """Sheet of a workbook."""
    lines: tuple[int, int] | None = None
    """First and last line in the file, counted from 1, where the text is the file's own."""

    @property
    def location(self) -> str:
        """Source with page, slide or sheet, for a reader."""
        if self.page is not None:
            return f"{self.source}, page {self.page}"
        if self.slide is not None:
            return f"{self.source}, slide {self.slide}"
        return f"{self.source}, sheet {self.sheet}" if self.sheet else self.source


@dataclass(frozen=True, slots=True)
class NumberedPassage:
    """A passage as a prompt shows it."""

    n: int
    source: str
    text: str


def format_passages(passages: Sequence[Passage]) -> str:
    """Write passages as the numbered block of a prompt, counted from 1.

    Example:
        >>> print(format_passages([Passage(source="a.md", text="It is blue.")]))
        <passages>
        [1] (source: a.md)
        It is blue.
        </passages>
    """
    lines = [_OPEN]
    for n, passage in enumerate(passages, start=1):
        lines.append(f"[{n}] (source: {_one_line(passage.location)})")
        # Not ``splitlines``: it also cuts at other characters than line feeds, and the text must
        # read back exactly.
        lines += [_escape(line) for line in passage.text.split("\n")]
    return "\n".join([*lines, _CLOSE])


def format_question(
    question: str, passages: Sequence[Passage], *, notes: Sequence[str] = ()
) -> str:
    """Write the text of a human message: the passages, then the question.

    Args:
        question: The question.
        passages: What to answer it from.
        notes: Lines about the question that are shown before it, and are no passages.
    """
    listed = "".join(f"- {_one_line(note)}\n" for note in notes)
    between = f"{listed}\n" if listed else ""
    return f"{format_passages(passages)}\n\n{between}{_QUESTION} {question}"


def parse_passages(prompt_text: str) -> list[NumberedPassage] | None:
    """Read the passages of a prompt back, exactly; ``None`` where it has no block of them."""
    block, _ = _split(prompt_text)
    if block is None:
        return None
    found: list[tuple[int, str, list[str]]] = []
    for line in block:
        if header := _HEADER.fullmatch(line):
            found.append((int(header[1]), header[2], []))
        elif found:
            found[-1][2].append(_unescape(line))
    return [NumberedPassage(n, source, "\n".join(lines)) for n, source, lines in found]


def parse_question(prompt_text: str) -> str:
    """The question of a human message: what follows ``Question:``, or all but the passages."""
    _, rest = _split(prompt_text)
    for index, line in enumerate(rest):
        if line.startswith(_QUESTION):
            rest = [line.removeprefix(_QUESTION), *rest[index + 1 :]]
            break
    return "\n".join(rest).strip()


def replace_citations(text: str, replace: Callable[[re.Match[str], list[int]], str]) -> str:
    """Replace every citation of a text, with the spaces before it; not in code.

    Args:
        text: A text with citations like ``[1]`` or ``[1, 3]``, or in other forms that models use.
        replace: Gets the match and the numbers, and gives what to put there.
    """

    def one(mark: re.Match[str]) -> str:
        # `rows[0]` in code is an index, not a citation.
        if mark["code"] is not None:
            return mark[0]
        return replace(mark, list(_numbers(mark["numbers"])))

    return _MARK.sub(one, text)


def _numbers(text: str) -> Iterator[int]:
    for part in re.split(r"[,;]", text):
        first, *rest = (int(n) for n in re.findall(r"\d+", part))
        last = rest[0] if rest else first
        within = first <= last < first + _LONGEST_RANGE
        yield from range(first, last + 1) if within else (first, last)


def _split(prompt_text: str) -> tuple[list[str] | None, list[str]]:
    lines = prompt_text.split("\n")
    if _OPEN not in lines:
        return None, lines
    start = lines.index(_OPEN)
    if _CLOSE not in lines[start:]:
        return None, lines
    end = lines.index(_CLOSE, start)
    return lines[start + 1 : end], lines[end + 1 :]


def _escape(line: str) -> str:
    return f"\\{line}" if _FRAME.match(line) else line


def _unescape(line: str) -> str:
    return line[1:] if line.startswith("\\") and _FRAME.match(line) else line


def _one_line(source: str) -> str:
    # A line break in a file's name would end the header.
    return re.sub(r"[\r\n]", " ", source)
