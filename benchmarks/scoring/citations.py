"""Citation recall and precision, and answer match, as ALCE measures them (arXiv 2305.14627).

A sentence is recalled where the documents that it cites entail it together. A citation is precise
where its sentence is recalled and either it entails the sentence alone, or the others do not
without it. ALCE's judge of entailment is a model of 11 billion weights; the judge here is yours.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.words import closeness, topic_words
from scoring.formats import Paragraph
from scoring.questions import CITATION, cited_numbers, normal, without_citations

Judge = Callable[[str, str], Awaitable[bool]]
"""Whether a text entails a claim."""

MOST_CITED = 3
"""Citations of a sentence that are looked at, as in ALCE."""

WORDS_SHARED = 0.8
"""Share of a claim's words that a text has, above which the judge by words says yes.

Chosen, and not tuned against anything: it tells nonsense from support, not support from the lack of
it. Compare providers by it, never with published figures.
"""

_AFTER_END = re.compile(rf"([.!?]+)((?:\s*{CITATION.pattern})+)")


@dataclass(frozen=True)
class CitationScore:
    """Of one answer."""

    recall: float
    precision: float
    sentences: int
    citations: int


async def score_citations(
    answer: str, documents: Sequence[Paragraph], judge: Judge
) -> CitationScore:
    """Score the citations of one answer; 0 and 0 for an answer without a sentence."""
    sentences = [one.text for one in split_sentences(_marks_inside(answer)) if _claim(one.text)]
    recalled = precise = cited = 0
    for sentence in sentences:
        numbers = cited_numbers(sentence)
        if not numbers or any(not 0 < number <= len(documents) for number in numbers):
            continue
        texts = [_text(documents[number - 1]) for number in numbers[:MOST_CITED]]
        cited += len(texts)
        claim = _claim(sentence)
        if not await judge("\n".join(texts), claim):
            continue
        recalled += 1
        precise += len(texts) if len(texts) == 1 else await _precise(texts, claim, judge)
    return CitationScore(
        recalled / len(sentences) if sentences else 0.0,
        precise / cited if cited else 0.0,
        len(sentences),
        cited,
    )


def answer_match(answer: str, short_answers: Sequence[Sequence[str]]) -> float | None:
    """The share of things to be said that the answer says in some form: ALCE's string match.

    ``None`` where the data set gives nothing to be said.
    """
    said = normal(without_citations(answer))
    hits = [any(normal(form) in said for form in forms) for forms in short_answers]
    return sum(hits) / len(hits) if hits else None


async def judge_by_words(text: str, claim: str) -> bool:
    """Whether the text has the claim's words. It is a stand-in where there is no model."""
    wanted = set(topic_words(claim))
    there = set(topic_words(text))
    found = sum(any(closeness(word, other) for other in there) for word in wanted)
    return bool(wanted) and found >= WORDS_SHARED * len(wanted)


async def _precise(texts: Sequence[str], claim: str, judge: Judge) -> int:
    """How many of several citations are needed, or enough alone."""
    count = 0
    for place, text in enumerate(texts):
        others = "\n".join([*texts[:place], *texts[place + 1 :]])
        count += await judge(text, claim) or not await judge(others, claim)
    return count


def _marks_inside(answer: str) -> str:
    """The answer with "So it is. [1]" written as "So it is [1].", so that sentences keep theirs."""
    return _AFTER_END.sub(
        lambda match: f"{match[2] if match[2][0] == ' ' else ' ' + match[2]}{match[1]}", answer
    )


def _claim(sentence: str) -> str:
    claim = without_citations(sentence)
    return claim if re.search(r"\w", claim) else ""


def _text(document: Paragraph) -> str:
    return f"Title: {document.title}\n{document.text}"
