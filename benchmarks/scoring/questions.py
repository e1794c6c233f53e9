"""Recall of the paragraphs that a question needs, and F1 of its answer, as the data sets do it.

Sources: HotpotQA's and SQuAD's evaluation scripts for ``f1``; HippoRAG 2 (arXiv 2502.14802) for
recall@5, the share of a question's supporting paragraphs among the first five.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence, Set

from scoring.formats import Paragraph

_WHOLE = frozenset({"yes", "no", "noanswer"})
"""Answers that are right or wrong as a whole."""

CITATION = re.compile(r"\[(\d+(?:\s*[,;]\s*\d+)*)\]")
"""The numbers of sources, as an answer writes them: ``[1]``, ``[1, 3]``."""


def normal(answer: str) -> str:
    """An answer without capitals, punctuation, articles and extra spaces."""
    plain = "".join(char for char in answer.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def without_citations(answer: str) -> str:
    """An answer without the numbers of its sources."""
    return re.sub(rf"\s*{CITATION.pattern}", "", answer).strip()


def cited_numbers(answer: str) -> list[int]:
    """The numbers in brackets, each once: what a plain answer cites."""
    numbers = (int(n) for mark in CITATION.findall(answer) for n in re.findall(r"\d+", mark))
    return list(dict.fromkeys(numbers))


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 where the answer is one of the gold ones, normalised."""
    return float(any(normal(answer) == normal(gold) for gold in golds))


def f1(answer: str, golds: Sequence[str]) -> float:
    """F1 of the words that the answer shares with the closest gold answer."""
    return max((_f1(normal(answer), normal(gold)) for gold in golds), default=0.0)


def recall_at(found: Sequence[Paragraph], supporting: Set[Paragraph], most: int = 5) -> float:
    """The share of the supporting paragraphs among the first ones found."""
    return len(supporting & set(found[:most])) / len(supporting) if supporting else 0.0


def _f1(answer: str, gold: str) -> float:
    if answer != gold and {answer, gold} & _WHOLE:
        return 0.0
    said, wanted = answer.split(), gold.split()
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0
