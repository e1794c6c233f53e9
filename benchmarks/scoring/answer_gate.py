"""A gate that learns which answers of a cheap model another model would better.

It sees the question and the answer, never what is right; from the grades of other questions it
learns a line through their features (ridge regression). Pure, and without any package.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

Vector = Sequence[float]

PULL = 10.0
"""How strongly the weights are pulled to 0: as many examples as these say that nothing matters."""

SPEND = 0.9
"""What a cascade may cost where it learns, as a share of what the dear model alone costs there:
other questions may cost somewhat more."""

_BOXED = re.compile(r"\\boxed\{+([^{}]*)\}")
_OPTION = re.compile(r"(?m)^\s*\(?([A-J])[).:]")
_UNSURE = re.compile(
    r"most likely|likely answer|closest|unclear|ambiguous|assum|however|appears|suggest|might"
    r"|could be|approximat|leans",
    re.IGNORECASE,
)
_ABSTAINS = re.compile(
    r"cannot (be )?(definitively )?(determin|answer)|not possible to|not enough information"
    r"|insufficient|no (correct |valid )?(answer|option)|none of the|typo|badly|missing option"
    r"|leans towards|most likely",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"\bmaybe\b", re.IGNORECASE)


def features(question: str, answer: str) -> list[float]:
    """What an answer looks like: its shape, its length, and whether it says that it is unsure."""
    boxed = [one.strip() for one in _BOXED.findall(answer)]
    last = boxed[-1] if boxed else ""
    has_options = _OPTION.search(question) is not None
    offers_maybe = _MAYBE.search(question) is not None
    return [
        1.0,
        float(not boxed),
        float(len(set(boxed)) > 1),
        float(has_options and not re.fullmatch(r"[A-Ja-j]", last)),
        len(_UNSURE.findall(answer)) / 3,
        float(_ABSTAINS.search(answer) is not None),
        float(offers_maybe),
        float(offers_maybe and last.casefold() in {"c", "maybe"}),
        math.log1p(len(question)) / 8,
        math.log1p(len(answer)) / 6,
        float("```" in answer),
    ]


@dataclass(frozen=True)
class Example:
    """An answer of the cheap model, and by how much another model's was better."""

    seen: Vector
    better_by: float
    cheap_usd: float
    dear_usd: float


@dataclass(frozen=True)
class AnswerGate:
    """Refuses an answer that another model is expected to better by more than a threshold."""

    weights: Vector
    threshold: float

    @classmethod
    def learned(cls, examples: Sequence[Example]) -> AnswerGate:
        """The line that fits the examples, with the lowest threshold that they can afford."""
        weights = _line(examples)
        ranked = sorted(examples, key=lambda one: _dot(weights, one.seen), reverse=True)
        left = SPEND * sum(one.dear_usd for one in examples)
        left -= sum(one.cheap_usd for one in examples)
        for one in ranked:
            left -= one.dear_usd
            if left < 0:
                return cls(weights, max(0.0, _dot(weights, one.seen)))
        return cls(weights, 0.0)

    def refuses(self, question: str, answer: str) -> bool:
        """Whether the other model is asked."""
        return _dot(self.weights, features(question, answer)) > self.threshold


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names in two halves, each name always in the same one."""
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return drawn[::2], drawn[1::2]


def _line(examples: Sequence[Example]) -> list[float]:
    size = len(examples[0].seen)
    rows = [[PULL * (i == j) for j in range(size)] + [0.0] for i in range(size)]
    for one in examples:
        for i, left in enumerate(one.seen):
            for j, right in enumerate(one.seen):
                rows[i][j] += left * right
            rows[i][size] += left * one.better_by
    return _solved(rows)


def _solved(rows: list[list[float]]) -> list[float]:
    """Gauss's elimination; the diagonal is never 0, because of the pull."""
    for i, pivot in enumerate(rows):
        for row in rows[i + 1 :]:
            factor = row[i] / pivot[i]
            for j in range(i, len(row)):
                row[j] -= factor * pivot[j]
    found = [0.0] * len(rows)
    for i in reversed(range(len(rows))):
        known = sum(rows[i][j] * found[j] for j in range(i + 1, len(rows)))
        found[i] = (rows[i][-1] - known) / rows[i][i]
    return found


def _dot(left: Vector, right: Vector) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))
