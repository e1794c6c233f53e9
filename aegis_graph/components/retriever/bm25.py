"""Finds the passages that speak of a question: BM25 over words, in memory, without a model."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from aegis_graph.text.passages import Passage
from aegis_graph.text.words import closeness, topic_words

_STEM = 3
"""Letters that two forms of a word share at least."""
_LONGEST = 100
"""Letters of a word that has other forms; the longest in any law of Germany had 80."""


class PassageIndex:
    """A search index over passages. Building and searching give the same result every time.

    Example:
        >>> index = PassageIndex([Passage(source="a.md", text="Budgets are hard limits.")])
        >>> [passage.source for passage in index.search("What is a budget?")]
        ['a.md']
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = list(passages)
        tokens = [topic_words(f"{one.heading}\n{one.text}") for one in self._passages]
        vocabulary = {word for some in tokens for word in some}
        self._by_start = sorted(vocabulary)
        self._by_end = sorted(word[::-1] for word in vocabulary)
        self._bm25: Any = _bm25(tokens) if vocabulary else None
        """Nothing to search in where no passage has a word."""

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, question: str, limit: int = 6) -> list[Passage]:
        """The passages that share words with a question, best first, at most ``limit``.

        A word also finds its other forms, at a lower weight: ``limit`` finds ``limits``, and
        ``Budget`` finds ``Monatsbudget``. Passages of the same score keep their order.
        """
        return [self._passages[place] for place in self.places(question, limit)]

    def places(self, question: str, limit: int) -> list[int]:
        """As ``search``, but where the passages stood in the list that was given."""
        import numpy as np  # noqa: PLC0415 - as bm25s, which brings it: only a search waits

        scores = np.zeros(len(self._passages))
        # A word that the question repeats counts once.
        for word in dict.fromkeys(topic_words(question)):
            scores += self._scores(word)
        best = np.argsort(-scores, kind="stable")[: max(0, limit)]
        return [int(place) for place in best if scores[place] > 0]

    def _scores(self, word: str) -> Any:
        """A score per passage: that of the word's best form in it."""
        import numpy as np  # noqa: PLC0415 - see above

        scores = np.zeros(len(self._passages))
        for form in self._forms(word):
            weight = closeness(word, form)
            if weight:
                # The best form alone counts: a passage does not gain by writing one word in many
                # forms.
                scores = np.maximum(scores, weight * self._bm25.get_scores([form]))
        return scores

    def _forms(self, word: str) -> Iterator[str]:
        """Words of the passages that may be forms of a word or compounds with it."""
        # What is longer is no word, and looking up each of its ends would take for ever.
        if len(word) > _LONGEST:
            if _contains(self._by_start, word):
                yield word
            return
        yield from _starting(self._by_start, word[:_STEM] if len(word) >= _STEM else word)
        # A compound ends with the word that it is a kind of, so read backwards it begins with it.
        for end in _starting(self._by_end, word[::-1]):
            if len(end) > len(word):
                yield end[::-1]
        for cut in range(1, len(word) - _STEM):
            if _contains(self._by_start, word[cut:]):
                yield word[cut:]


def _starting(words: Sequence[str], start: str) -> Iterator[str]:
    index = bisect_left(words, start)
    while index < len(words) and words[index].startswith(start):
        yield words[index]
        index += 1


def _contains(words: Sequence[str], word: str) -> bool:
    index = bisect_left(words, word)
    return index < len(words) and words[index] == word


def _bm25(tokens: list[list[str]]) -> Any:
    import bm25s  # type: ignore[import-untyped]  # noqa: PLC0415 - numpy takes a while to import

    # It sets its own logger to DEBUG, past the level that the application asked for.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    return index
