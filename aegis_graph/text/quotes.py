"""An answer made of quotes, and which texts support a claim.

Words are weighed by how rare they are among the texts at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.passages import NumberedPassage
from aegis_graph.text.quoting.choice import choose
from aegis_graph.text.words import max_closeness, topic_words, words

_RARE, _MISSING = 2.5, 2.75
"""Weights of a word that hardly any text has, and of one that none has; a common one has 1.

One rare word that is there does not make up for one that is missing.
"""


def quoted_lines(question: str, passages: Sequence[NumberedPassage]) -> list[str]:
    """An answer made of quotes: a line for each, with the number of its passage.

    White space is one space, and a number in square brackets that the document itself has becomes
    ``[...]``, because it would read as one of ours. A table's row comes after its table's head.
    Code is one entry of several lines between fences, letter for letter; its number stands at the
    sentence before it, or in a line of its own where there is none.
    """
    lines: list[str] = []
    before = 0
    for piece in choose(question, passages):
        if piece.kind == "code":
            lines.append(_fenced(piece.text))
            lines += [] if before == piece.n else [f"[{piece.n}]"]
            continue
        for text in ([piece.table_head] if piece.table_head else []) + [piece.text]:
            line = f"{_shown(text)} [{piece.n}]"
            if line not in lines:
                lines.append(line)
        before = piece.n
    return lines


def _fenced(code: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}\n{code}\n{fence}"


def rank_by_support(claim: str, texts: Sequence[str]) -> list[int]:
    """Places of the texts, the one that supports a claim best first."""
    claimed = set(topic_words(claim)) or set(words(claim))
    found = [set(topic_words(text)) or set(words(text)) for text in texts]
    weights = _weights(claimed, found)

    def support(index: int) -> float:
        present = found[index]
        hit = _value({word: max_closeness(word, present) for word in claimed}, weights)
        extra = sum(1 for word in present if not max_closeness(word, claimed))
        # Of two sentences with the claim's words, the one that says less besides is the better
        # quote.
        return hit - 0.1 * extra if hit else -math.inf

    return sorted(range(len(texts)), key=support, reverse=True)


def _shown(text: str) -> str:
    return replace_citations(" ".join(text.split()), lambda mark, _: f"{mark.space}[...]")


def _weights(asked: Iterable[str], sentences: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word, by the share of sentences that have it."""
    weights = {}
    for word in asked:
        frequency = sum(1 for present in sentences if max_closeness(word, present))
        # The half keeps the logarithm finite for a word that no sentence has.
        weight = math.log((len(sentences) + 1) / (frequency + 0.5))
        weights[word] = min(_RARE if frequency else _MISSING, max(1.0, weight))
    return weights


def _value(matches: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[word] * match for word, match in matches.items())
