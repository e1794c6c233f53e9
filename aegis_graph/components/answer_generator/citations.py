"""Checks the citations of an answer against its sources, and quotes the span behind each.

A claim is a sentence of the answer with the numbers in square brackets that belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from typing_extensions import TypedDict

from aegis_graph.components.answer_generator.places import QuotePlace, place_of
from aegis_graph.text.passages import Passage, replace_citations
from aegis_graph.text.sentences import Sentence, split_sentences
from aegis_graph.text.support import Verdict, best_evidence, judge

_WORD = re.compile(r"\w")
_Mark = tuple[int, int, list[int]]
"""Begin, end and numbers of square brackets in a text."""


class Citation(QuotePlace):
    """Where a sentence of an answer comes from."""

    n: int
    """The number in the answer's square brackets; source ``n`` of those given, counted from 1."""
    source: str
    """The document, with the page where it has pages."""
    quote: str
    """What supports the sentence, exactly as the source has it: ``text[start:end]``."""
    start: int
    """Where the quote begins in the text of the source, in characters."""
    end: int


class CitedSentence(TypedDict):
    """A sentence of an answer, with its numbers, and whether its sources support it."""

    text: str
    """Exactly as the answer has it: ``answer[start:end]``."""
    start: int
    end: int
    citations: list[int]
    """Places in the list of citations, from 0."""
    supported: bool
    reason: Verdict | Literal["uncited", "model"]
    """What the verdict rests on: ``supported``, or what is missing; ``model`` when one judged."""


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer whose citations were checked."""

    text: str
    citations: list[Citation]
    sentences: list[CitedSentence]
    removed: int
    """Numbers that pointed at no source, and are gone from the text."""


@dataclass(frozen=True, slots=True)
class _Claim:
    start: int
    end: int
    bare: str
    """The sentence without its numbers."""
    numbers: tuple[int, ...]
    is_code: bool = False
    """Whether it is a block of code, which the sentence before it leads to."""


def cite(answer: str, passages: Sequence[Passage], *, ignore: Sequence[str] = ()) -> CheckedAnswer:
    """Check each ``[1]`` or ``[1, 3]`` of an answer, and each sentence that has them.

    Args:
        answer: As a model gave it.
        passages: What it was given, in order.
        ignore: Sentences that claim nothing.

    Example:
        >>> cited = cite("It is 10 USD. [1] [7]", [Passage(source="a.md", text="Hm. It: 10 USD.")])
        >>> cited.text, cited.removed, cited.citations[0]["quote"]
        ('It is 10 USD. [1]', 1, 'It: 10 USD.')
    """
    # First, because every place below counts the characters of the text that is shown.
    text, removed = _without_wrong_numbers(answer, len(passages))
    citations: list[Citation] = []
    sentences: list[CitedSentence] = []
    for claim in _claims(text):
        if claim.bare in ignore:
            continue
        quoted = [_citation(claim, n, passages[n - 1]) for n in claim.numbers]
        # The same span behind two sentences is one citation, to which both point.
        citations += [one for one in quoted if one not in citations]
        reason = _verdict(claim, quoted)
        sentences.append(
            CitedSentence(
                text=text[claim.start : claim.end],
                start=claim.start,
                end=claim.end,
                citations=[citations.index(one) for one in quoted],
                supported=reason == "supported",
                reason=reason,
            )
        )
    return CheckedAnswer(text, citations, sentences, removed)


def _verdict(claim: _Claim, quoted: Sequence[Citation]) -> Verdict | Literal["uncited"]:
    if not quoted:
        return "uncited"
    verdicts = [judge(claim.bare, one["quote"]) for one in quoted]
    # One source that bears the sentence out is enough; else it may join what two of them say.
    if "supported" in verdicts:
        return "supported"
    return judge(claim.bare, "\n".join(one["quote"] for one in quoted))


def _citation(claim: _Claim, n: int, passage: Passage) -> Citation:
    start, end, _ = best_evidence(claim.bare, passage.text)
    return Citation(
        n=n,
        source=passage.location,
        quote=passage.text[start:end],
        start=start,
        end=end,
        **place_of(passage, start, end),
    )


def _without_wrong_numbers(answer: str, count: int) -> tuple[str, int]:
    removed = 0

    def known(mark: re.Match[str], numbers: list[int]) -> str:
        nonlocal removed
        # A model may give a number twice in one bracket; it is shown once.
        right = [n for n in dict.fromkeys(numbers) if 1 <= n <= count]
        removed += sum(1 for n in numbers if not 1 <= n <= count)
        return f"{mark['space']}[{', '.join(map(str, right))}]" if right else ""

    text = replace_citations(answer, known)
    return text, removed


def _claims(text: str) -> Iterator[_Claim]:
    """The sentences of a text; a number belongs to the sentence that it stands in or follows."""
    marks: list[_Mark] = []

    def note(mark: re.Match[str], numbers: list[int]) -> str:
        marks.append((mark.start(), mark.end(), numbers))
        return ""

    # Only for the places of the marks: the text that it gives is not used.
    replace_citations(text, note)
    before: tuple[int, ...] = ()
    for start, end in _sections(text, marks):
        inside = [mark for mark in marks if start <= mark[0] < end]
        for claim in _claims_between(text, start, end, inside):
            # No number can stand in code: it is where the sentence that leads to it is from.
            led_to = claim.is_code and not claim.numbers
            yield replace(claim, numbers=before) if led_to else claim
            before = before if led_to else claim.numbers


def _sections(text: str, marks: Sequence[_Mark]) -> Iterator[tuple[int, int]]:
    """Pieces of a text: a number at the end of a line ends a sentence that has no full stop."""
    start = 0
    for begin, end, _ in marks:
        if text[end : end + 1] == "\n" and _WORD.search(text, start, begin):
            yield start, end
            start = end
    yield start, len(text)


def _claims_between(text: str, start: int, end: int, marks: Sequence[_Mark]) -> Iterator[_Claim]:
    bare, places = _bare(text, start, end, marks)
    # A line of marks without a word claims nothing, and neither does a heading, unless it alone
    # has a number: an answer may be a word in capitals.
    spoken = [one for one in split_sentences(bare) if _WORD.search(one.text)]
    sentences = [one for one in spoken if one.kind != "heading"] or (spoken if marks else [])
    sentences = list(_with_blocks_of_code(bare, sentences))
    # Numbers that stand alone still say where the answer is from.
    if marks and not sentences:
        yield _Claim(marks[0][0], marks[-1][1], "", tuple(dict.fromkeys(_numbers(marks))))
    for at, sentence in enumerate(sentences):
        first = places[sentence.start]
        after = places[sentences[at + 1].start] if at + 1 < len(sentences) else end
        # A number may follow the full stop: it belongs to this sentence up to where the next one
        # begins. One before the first sentence belongs to that.
        own = [mark for mark in marks if (first <= mark[0] or at == 0) and mark[0] < after]
        last = places[sentence.start + len(sentence.text) - 1] + 1
        numbers = dict.fromkeys(_numbers(own))
        stop = max([last, *(mark[1] for mark in own)])
        yield _Claim(first, stop, sentence.text, tuple(numbers), sentence.kind == "code")


def _with_blocks_of_code(text: str, sentences: Sequence[Sentence]) -> Iterator[Sentence]:
    """The sentences, with the lines of each block of code as one."""
    for is_code, run in groupby(sentences, key=lambda one: one.kind == "code"):
        lines = list(run)
        while is_code and lines:
            first, *rest = lines
            # A fence between two lines begins another block.
            size = next((i for i, one in enumerate(rest, 1) if _fenced(text, lines, i)), len(lines))
            last = lines[size - 1]
            whole = text[first.start : last.start + len(last.text)]
            yield Sentence(first.start, whole, "code", first.context)
            lines = lines[size:]
        yield from lines


def _fenced(text: str, lines: Sequence[Sentence], at: int) -> bool:
    before = lines[at - 1]
    between = text[before.start + len(before.text) : lines[at].start]
    return "```" in between or "~~~" in between


def _numbers(marks: Sequence[_Mark]) -> Iterator[int]:
    for _, _, numbers in marks:
        yield from numbers


def _bare(text: str, start: int, end: int, marks: Sequence[_Mark]) -> tuple[str, list[int]]:
    """A piece of a text without its numbers, and where each of its characters stood."""
    places: list[int] = []
    position = start
    for first, last, _ in marks:
        places += range(position, first)
        position = last
    places += range(position, end)
    return "".join(text[place] for place in places), places
