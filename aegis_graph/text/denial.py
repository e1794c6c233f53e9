"""Whether a sentence denies what it says of two names, by rule.

A word for no counts where it belongs to both: not in a clause of its own, not in "not only", and
after "not A but B" for A alone. What a rule cannot tell counts as denied: of what a text does not
state, nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from aegis_graph.text.mentions import Stretch
from aegis_graph.text.negation import judged_language, no_words

_HARMLESS = re.compile(
    r"\b(?:without|ohne"
    r"|not\s+(?:only|just|merely|simply|solely|least|long|far|until|before)"
    r"|no\s+(?:later|less|fewer|more)\s+than|no\s+(?:sooner|doubt)"
    r"|nicht\s+(?:nur|blo\u00df|allein|lediglich|zuletzt|lange?|weit|weniger|mehr\s+als|ohne)"
    r"|kein\w*\s+(?:zweifel|geringer\w*))\b",
    re.IGNORECASE,
)
"""Words for no that leave what the sentence states as it is."""

_CONTRAST = re.compile(r"\b(?:but|sondern)\b", re.IGNORECASE)
_BREAK = re.compile(r"[,;:()]|\s[\u2013\u2014-]\s")
_JOIN = re.compile(
    r"\b(?:and|but|or|who|which|that|because|although|while|und|aber|oder|der|die|das|weil|obwohl"
    r"|w\u00e4hrend)\b",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"\s*(?:dass|ob|that|whether|if|having)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_NEAR = 2
"""Words between a "not" and the name it stands before: "not for the Nordwind"."""


def is_denied(sentence: str, one: Sequence[Stretch], other: Sequence[Stretch]) -> bool:
    """Whether a sentence says no to what it says of two names.

    Args:
        sentence: In any language; one whose words for no are not known denies nothing.
        one: Where it has the first name; nowhere, where a pronoun stands for it.
        other: Where it has the second one.

    Example:
        >>> text = "Ada has never worked for Nordwind, but Bo works for Nordwind."
        >>> is_denied(text, [(0, 3)], [(25, 33)]), is_denied(text, [(39, 41)], [(52, 60)])
        (True, False)
    """
    language = judged_language(sentence)
    if language is None:
        return False
    names = [*one, *other]
    harmless = [match.span() for match in _HARMLESS.finditer(sentence)]
    noes = [
        match.span()
        for match in no_words(language).finditer(sentence)
        # A name may have such a word in it.
        if not any(begin <= match.start() < end for begin, end in [*names, *harmless])
    ]
    pairs = [sorted(pair) for pair in product(one or other, other or one)]
    closest = min(pairs, key=lambda pair: pair[1][0] - pair[0][1], default=None)
    return closest is not None and any(_Denial(sentence, no, *closest).holds for no in noes)


class _Denial:
    """A word for no, and the two names in their order."""

    def __init__(self, sentence: str, no: Stretch, first: Stretch, second: Stretch) -> None:
        self._sentence, self._no, self._first, self._second = sentence, no, first, second

    @property
    def holds(self) -> bool:
        """Whether it is about both."""
        contrast = _CONTRAST.search(self._sentence, self._no[1])
        if contrast is not None:
            if self._second[0] > contrast.start():
                # "Not A but B": A alone, and only where B is not the other name as well.
                return self._no[1] <= self._first[0] < contrast.start()
            if self._no[0] >= self._second[1]:
                between = self._sentence[self._no[1] : contrast.start()]
                # "does not make it, but" against "not in 1990 but in 1991".
                return len(_WORD.findall(between)) < _NEAR
        return self._stands_before_a_name or self._is_in_their_clause

    @property
    def _stands_before_a_name(self) -> bool:
        for begin, _ in (self._first, self._second):
            between = self._sentence[self._no[1] : begin]
            near = begin - self._no[1] >= 0 and len(_WORD.findall(between)) <= _NEAR
            if near and not _BREAK.search(between):
                return True
        return False

    @property
    def _is_in_their_clause(self) -> bool:
        clause, first, second = map(self._clause, (self._no, self._first, self._second))
        if clause == second:
            after = self._sentence[self._second[1] : self._no[0]]
            return not _JOIN.search(after)
        # "She denies that ...": what follows is what is denied.
        begin = 0 if second == 0 else list(_BREAK.finditer(self._sentence))[second - 1].end()
        return clause == first and _CONTENT.match(self._sentence, begin) is not None

    def _clause(self, stretch: Stretch) -> int:
        return sum(match.start() < stretch[0] for match in _BREAK.finditer(self._sentence))
