"""Numbered passages in a prompt: how they are written, read back and cited. The one place for it.

A prompt holds one block between two delimiter lines, then the question, then what to do:

```
<passages>
[1] (source: docs/a.md)
The limit is 10 USD a month.
</passages>

Question: What is the limit?

<instructions>
Answer from the passages only.
</instructions>
```

The instructions come last: a small model follows what it has read last. A line of a passage or of
a question that looks like part of this frame gets a backslash in front, which reading takes away
again. So no document can end the block, start a passage, ask the question or say what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OPEN, _CLOSE, _QUESTION = "<passages>", "</passages>", "Question:"
_TO_DO, _END_TO_DO = "<instructions>", "</instructions>"
# Backslashes in front count as well: a document's own must survive the one that reading takes away.
_FRAME = re.compile(r"\\*(?:\[\d+\] \(source: |</?passages>|</?instructions>|Question:)")
_FRAME_BELOW = re.compile(r"\\*</?instructions>")
"""What a line of a question could be taken for."""
# Nine digits are more than any prompt has; Python refuses to read thousands of them as a number.
_HEADER = re.compile(r"\[(\d{1,9})\] \(source: (.*)\)")
_BEGINNING = 400
"""Characters of a passage in which a heading is looked for: there it is read together with it."""


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


def text_in_place(title: str, passage: Passage) -> str:
    r"""A passage under its title and its section, as it is ranked, embedded and shown to a model.

    Example:
        >>> text_in_place("Guide", Passage(source="a.md", text="It is hard.", heading="Limits"))
        '# Guide\n## Limits\n\nIt is hard.'
    """
    beginning = passage.text[:_BEGINNING]
    above = dict.fromkeys(one for one in (title, passage.heading) if one and one not in beginning)
    marks = [f"{'#' * level} {one}" for level, one in enumerate(above, start=1)]
    return "\n".join([*marks, "", passage.text]) if marks else passage.text


@dataclass(frozen=True, slots=True)
class NumberedPassage:
    """A passage as a prompt shows it."""

    n: int
    source: str
    text: str


def format_passages(passages: Sequence[Passage], numbers: Sequence[int] | None = None) -> str:
    """Write passages as the numbered block of a prompt, counted from 1 unless numbers are given.

    Example:
        >>> print(format_passages([Passage(source="a.md", text="It is blue.")]))
        <passages>
        [1] (source: a.md)
        It is blue.
        </passages>
    """
    lines = [_OPEN]
    for n, passage in zip(numbers or range(1, len(passages) + 1), passages, strict=True):
        lines.append(f"[{n}] (source: {_one_line(passage.location)})")
        # Not ``splitlines``: it also cuts at other characters than line feeds, and the text must
        # read back exactly.
        lines += [_escape(line) for line in passage.text.split("\n")]
    return "\n".join([*lines, _CLOSE])


def format_question(
    question: str,
    passages: Sequence[Passage],
    *,
    numbers: Sequence[int] | None = None,
    notes: Sequence[str] = (),
    opening: str = "",
    instructions: str = "",
) -> str:
    """Write the text of a human message: the passages, then the question, then what to do.

    Args:
        question: The question.
        passages: What to answer it from.
        numbers: The number of each passage; counted from 1 when absent.
        notes: Lines about the question that are shown before it, and are no passages.
        opening: What comes before the passages, such as what they are for.
        instructions: How to answer.
    """
    listed = "".join(f"- {_one_line(note)}\n" for note in notes)
    between = f"{listed}\n" if listed else ""
    asked = "\n".join(_escape(line, _FRAME_BELOW) for line in question.split("\n"))
    below = f"\n\n{_TO_DO}\n{instructions}\n{_END_TO_DO}" if instructions else ""
    above = f"{opening}\n\n" if opening else ""
    return f"{above}{format_passages(passages, numbers)}\n\n{between}{_QUESTION} {asked}{below}"


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
    if _TO_DO in rest:
        rest = rest[: rest.index(_TO_DO)]
    for index, line in enumerate(rest):
        if line.startswith(_QUESTION):
            rest = [line.removeprefix(_QUESTION).removeprefix(" "), *rest[index + 1 :]]
            break
    return "\n".join(_unescape(line, _FRAME_BELOW) for line in rest).strip()


def _split(prompt_text: str) -> tuple[list[str] | None, list[str]]:
    lines = prompt_text.split("\n")
    if _OPEN not in lines:
        return None, lines
    start = lines.index(_OPEN)
    if _CLOSE not in lines[start:]:
        return None, lines
    end = lines.index(_CLOSE, start)
    return lines[start + 1 : end], lines[end + 1 :]


def _escape(line: str, frame: re.Pattern[str] = _FRAME) -> str:
    return f"\\{line}" if frame.match(line) else line


def _unescape(line: str, frame: re.Pattern[str] = _FRAME) -> str:
    return line[1:] if line.startswith("\\") and frame.match(line) else line


def _one_line(source: str) -> str:
    # A line break in a file's name would end the header.
    return re.sub(r"[\r\n]", " ", source)
