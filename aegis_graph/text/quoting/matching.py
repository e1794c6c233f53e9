"""How well each piece of the passages matches the words of a question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from aegis_graph.text.quoting.expected import prefers
from aegis_graph.text.quoting.markup import plain
from aegis_graph.text.quoting.pieces import Quotable
from aegis_graph.text.quoting.question import NAME, QUALIFIED_BY, Question
from aegis_graph.text.quoting.synonyms import synonyms
from aegis_graph.text.words import INFLECTED, STOP_WORDS, closeness, topic_words, words

_COMMONEST, _RAREST, _MISSING = 0.5, 2.5, 2.75
"""Weights of a word that every piece has, that hardly any has, and that none has.

One rare word that is there does not make up for one that is missing.
"""

_FEW = 12
"""Pieces below which a word that most have is not common for that."""

_OFTEN = 3

_HEADING, _OUTER_HEADING, _LEAD, _BEFORE, _SOURCE = 0.7, 0.6, 0.8, 0.6, 0.5
_NAMED, _DOCUMENT = 0.7, 0.45
"""What a match around a piece counts, compared with one in the piece itself."""

_COST = synonyms("cost") | {"cost"}


@dataclass(frozen=True, slots=True)
class Match:
    """What a piece has of a question's words, each from 0 to 1."""

    own: Mapping[str, float]
    all: Mapping[str, float]
    """In the piece, or, reduced, in what it stands under and refers back to."""
    heading: Mapping[str, float]
    """In the nearest heading alone, without a reduction."""
    heading_fit: float
    """The share of that heading's words that the question has."""


class Matcher:
    """Matches pieces with a question. Each word of the pieces is compared once."""

    def __init__(self, question: Question, pieces: Sequence[Quotable]) -> None:
        self.question = question
        self._pieces = pieces
        self._own = [_words(f"{one.table_head}\n{one.text}") for one in pieces]
        self._same = {one: synonyms(one) for one in question.words}
        self._above: dict[str, Mapping[str, float]] = {}
        self._close: dict[str, dict[str, float]] = {}
        """For each word of the documents, how close it is to words of the question."""
        self._documents: dict[str, dict[str, float]] = {}

    def match(self, at: int, before: int | None, lead: int | None) -> Match:
        """Match the piece at a place.

        Args:
            at: Its place in the list.
            before: The place of the sentence that it refers back to.
            lead: The place of what leads into it.
        """
        piece = self._pieces[at]
        own = self._own_closeness[at]
        heading = self._around(piece.headings[-1] if piece.headings else "")
        around = [
            (_HEADING, heading),
            (_OUTER_HEADING, self._around("\n".join(piece.headings[:-1]))),
            (_LEAD, self._around(piece.lead)),
            (_SOURCE, self._around(_title(piece.source))),
            (1.0, self._document(piece.source)),
        ]
        around += [(_BEFORE, self._own_closeness[before])] if before is not None else []
        around += [(1.0, self._own_closeness[lead])] if lead is not None else []
        everything = dict(own)
        for factor, found in around:
            for word, value in found.items():
                everything[word] = max(everything.get(word, 0.0), factor * value)
        return Match(own, everything, heading, self._fit(piece.headings[-1:]))

    def _fit(self, heading: Sequence[str]) -> float:
        said = [word for one in heading for word in topic_words(plain(one))]
        return sum(1 for word in said if self._compared(word)) / len(said) if said else 0.0

    @cached_property
    def weights(self) -> Mapping[str, float]:
        """Weight of each word of the question, by the share of pieces that have it."""
        counts = dict.fromkeys(self.question.words, 0)
        for found in self._own_closeness:
            for word in found:
                counts[word] += 1
        return {word: self._weight(count) for word, count in counts.items()}

    def share(self, matches: Mapping[str, float]) -> float:
        """The share of the question's weight that some matches make up."""
        total = sum(self.weights.values())
        return sum(self.weights[word] * value for word, value in matches.items()) / total

    def has_literals(self, at: int, around: str) -> bool:
        """Whether a piece, with what is around it, has what the question spells out."""
        text = self._with_what_is_above(at, around)
        folded = text.casefold()
        return all(one.casefold() in folded for one in self.question.literals) and all(
            one.search(text) for one in self.question.numbered
        )

    def has_counted(self, match: Match) -> bool:
        """Whether a piece speaks of what is to be counted: "how many lumens" wants lumens."""
        counted = self.question.counted
        return not counted or max(match.all.get(one, 0.0) for one in counted) > _DOCUMENT

    def is_about_another(self, at: int, match: Match) -> bool:
        """Whether a piece lacks a name that the question has, and has another of its kind."""
        missing = [one for one in self.question.names if match.all.get(one, 0.0) <= _NAMED]
        if not any(self.weights.get(one, _MISSING) > 1 for one in missing):
            return False
        text = plain(self._pieces[at].text)
        first = re.match(r"\W*(\w+)", text)
        # The first word of a sentence has a capital; it is a name where it never stands without.
        subject = words(first[1]) if first and first[1].casefold() not in self._lower_case else ()
        others = {part for name in NAME.findall(text) for part in words(name)} | (
            set(subject) - STOP_WORDS
        )
        return bool(others - set(words(self.question.text)))

    @cached_property
    def common(self) -> frozenset[str]:
        """Words that three pieces or more have, but for the question's own."""
        counts = Counter(word for own in self._own for word in own)
        often = (word for word, count in counts.items() if count >= _OFTEN)
        return frozenset(often) - set(self.question.words)

    @cached_property
    def _lower_case(self) -> frozenset[str]:
        return frozenset(re.findall(r"\b[a-z]\w+", "\n".join(one.text for one in self._pieces)))

    def is_qualified(self, at: int, around: str) -> bool:
        """Whether a piece says that it is the default, the most or the least, where asked."""
        present = _words(self._with_what_is_above(at, around))
        return all(QUALIFIED_BY[group] & present for group in self.question.qualifiers)

    def _with_what_is_above(self, at: int, around: str) -> str:
        piece = self._pieces[at]
        return "\n".join((around, piece.text, *piece.headings, piece.lead, piece.table_head))

    def _weight(self, count: int) -> float:
        if not count:
            return min(_MISSING, math.log(2 * len(self._pieces) + 2))
        # The half keeps a word that all pieces have from weighing nothing.
        weight = math.log((len(self._pieces) + 1) / (count + 0.5))
        least = 1.0 if len(self._pieces) < _FEW else _COMMONEST
        return min(_RAREST, max(least, weight))

    def _document(self, source: str) -> dict[str, float]:
        """What the document has of the question anywhere: no sentence repeats all of it."""
        if source not in self._documents:
            present: set[str] = set()
            for own, piece in zip(self._own, self._pieces, strict=True):
                present |= own if piece.source == source else set()
            names = self.question.names
            self._documents[source] = {
                word: value * (_NAMED if word in names else _DOCUMENT)
                for word, value in self._closeness(present).items()
            }
        return self._documents[source]

    @cached_property
    def _own_closeness(self) -> Sequence[Mapping[str, float]]:
        found = [self._closeness(present) for present in self._own]
        costs = [one for one in self.question.words if one in _COST]
        for piece, own in zip(self._pieces if costs else (), found if costs else (), strict=True):
            # A sum of money says by itself that something costs it.
            if prefers("money", piece.text):
                own.update((one, max(own.get(one, 0.0), INFLECTED)) for one in costs)
        return found

    def _around(self, text: str) -> Mapping[str, float]:
        """As for a piece, for a heading or a name that stands above many of them."""
        if text not in self._above:
            self._above[text] = self._closeness(_words(text))
        return self._above[text]

    def _closeness(self, present: Iterable[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for word in present:
            for asked, value in self._compared(word).items():
                found[asked] = max(found.get(asked, 0.0), value)
        return found

    def _compared(self, word: str) -> dict[str, float]:
        if word in self._close:
            return self._close[word]
        compared = {
            asked: closeness(asked, word) or (INFLECTED if word in self._same[asked] else 0.0)
            for asked in self.question.words
        }
        self._close[word] = {asked: value for asked, value in compared.items() if value}
        return self._close[word]


def _words(text: str) -> frozenset[str]:
    return frozenset(words(plain(text)))


def _title(source: str) -> str:
    """What a document's name says: neither its ending nor its page."""
    name = source.split(", ")[0]
    return name.rpartition(".")[0] or name
