"""Whether a sentence names first what is done to, and then what does it: "A was bought by B"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aegis_graph.text.mentions import Stretch
from aegis_graph.text.words import max_closeness, words

_BY = re.compile(
    r"\b(?:is|are|was|were|be|been|being|wird|werden|wurde|wurden|worden)\b(?P<before>[^.;:]*?)"
    r"\b(?:by|von|vom|durch)\s+"
    r"(?:(?!(?:that|which|who|whose|of|for|from|in|at|with|f\u00fcr|aus|in|bei|mit)\b)[\w&-]+\s+){0,3}$",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[^.,;:]*")


def is_done_by(sentence: str, verb: str, one: Sequence[Stretch], other: Sequence[Stretch]) -> bool:
    """Whether the second does to the first what the verb says.

    A sentence that says it in another verb, or another language, is not understood.

    Args:
        sentence: In English or German.
        verb: Such as ``acquired`` or ``supplies``, in any form.
        one: Where the sentence has the first name.
        other: Where it has the second one.

    Example:
        >>> is_done_by("A was bought by B.", "buys", [(0, 1)], [(16, 17)])
        False
        >>> is_done_by("A is supplied by B.", "supplies", [(0, 1)], [(17, 18)])
        True
    """
    meant = set(words(verb))
    return any(
        _is_said(sentence[first[1] : second[0]], sentence[second[1] :], meant)
        for first in one
        for second in other
        if first[1] <= second[0]
    )


def _is_said(between: str, behind: str, meant: set[str]) -> bool:
    found = _BY.search(between)
    if found is None:
        return False
    # German puts the participle last.
    clause = _CLAUSE.match(behind)
    said = words(found["before"]) + words(clause[0] if clause else "")
    return any(max_closeness(word, meant) for word in said)
