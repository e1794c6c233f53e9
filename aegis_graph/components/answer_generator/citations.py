"""Checks the citations of an answer against its sources, and quotes the span behind each.

A claim is a sentence of the answer with the numbers in square brackets that belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NotRequired, cast

from typing_extensions import TypedDict

from aegis_graph.components.answer_generator.claims import Claim, claims_of, numbered
from aegis_graph.components.answer_generator.named_sources import with_numbers
from aegis_graph.components.answer_generator.places import QuotePlace, place_of
from aegis_graph.text.passages import Passage
from aegis_graph.text.support import Evidence, Verdict, best_evidence, judge

_REFERS = re.compile(
    r"^(?:according to|as (?:stated|described|noted|shown|mentioned|explained) in|based on|per|laut"
    r"|gem\u00e4\u00df|nach|wie in)(?: (?:the )?(?:sources?|passages?|documents?|quellen?"
    r"|textstellen?|dokumente?n?))?\s*(?:beschrieben)?,\s*",
    re.IGNORECASE,
)
"""What says where a sentence is from, once its number is out: ``According to [1], ...``."""


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
    added: NotRequired[bool]
    """True where no sentence has it from the model: a rule found it."""


class CitedSentence(TypedDict):
    """A sentence of an answer, with its numbers, and whether its sources support it."""

    text: str
    """Exactly as the answer has it: ``answer[start:end]``."""
    start: int
    end: int
    citations: list[int]
    """Places in the list of citations, from 0."""
    supported: bool
    added: NotRequired[bool]
    """True where the model gave no number, or another one, and a rule gave this one."""
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
    is_whole: bool = True
    """Whether no sentence to a part of the question was left out."""


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
    shown = numbered(with_numbers(answer, passages), len(passages))
    text = shown.text
    citations: list[Citation] = []
    sentences: list[CitedSentence] = []
    for claim in claims_of(shown, [name for one in passages for name in _names(one)]):
        if claim.bare in ignore:
            continue
        if claim.numbers:
            claim = replace(claim, bare=_REFERS.sub("", claim.bare, count=1))
        found = [best_evidence(claim.bare, passages[n - 1].text) for n in claim.numbers]
        quoted = [
            _citation(n, passages[n - 1], one) for n, one in zip(claim.numbers, found, strict=True)
        ]
        # The same span behind two sentences is one citation, to which both point.
        citations += [one for one in quoted if one not in citations]
        reason = _verdict(claim, quoted, [one.verdict for one in found])
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
    return CheckedAnswer(text, citations, sentences, shown.removed)


def _verdict(
    claim: Claim, quoted: Sequence[Citation], verdicts: Sequence[Verdict]
) -> Verdict | Literal["uncited"]:
    if not quoted:
        return "uncited"
    # One source that bears the sentence out is enough; else it may join what two of them say.
    if "supported" in verdicts:
        return "supported"
    if len(verdicts) == 1:
        return verdicts[0]
    return judge(claim.bare, "\n".join(one["quote"] for one in quoted))


def _citation(n: int, passage: Passage, found: Evidence) -> Citation:
    start, end, _ = found
    quoted = {"n": n, "source": passage.location, "quote": passage.text[start:end]}
    where = {"start": start, "end": end, **place_of(passage, start, end)}
    return cast(Citation, {**quoted, **where})


def _names(passage: Passage) -> tuple[str, ...]:
    return passage.source, passage.source.rsplit("/", 1)[-1]
