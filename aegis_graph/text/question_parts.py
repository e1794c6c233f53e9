"""The questions that one sentence asks, such as ``Who leads it, and when does it open?``."""

from __future__ import annotations

import re

from aegis_graph.text.words import topic_words, words

MOST_PARTS = 3

_JOINS = re.compile(
    r",?\s+(?:and|und)\s+"
    r"(?=(?:(?:with|in|at|by|on|for|from|to|of|until|since|mit|an|auf|bei|bis|von|zu|f\u00fcr|nach"
    r"|seit|ab|aus)\s+)?"
    r"(?:who|whose|whom|what|when|where|which|how|why|wer|wem|wen|was|wann|wo|wie|warum"
    r"|welche[mnrs]?)\b)",
    re.IGNORECASE,
)
_POINTING = frozenset(
    words(
        "it its he him his she her hers they them their theirs this that these those one ones"
        " er ihn ihm sie es ihr ihre ihren ihrem ihrer ihres sein seine seinen seinem seiner seines"
        " dieser diese dieses diesen diesem dort davon dafür damit dabei"
    )
)
"""Words that mean something by what is said before them."""


def parts_of(text: str) -> list[str]:
    """The questions that one sentence asks, each with a question word of its own.

    Example:
        >>> parts_of("What is the limit, and when do weeks begin?")
        ['What is the limit', 'when do weeks begin?']
    """
    parts = _JOINS.split(text)
    # "And why?" asks nothing by itself.
    if len(parts) > MOST_PARTS or not all(topic_words(one) for one in parts):
        return [text]
    return parts


def separate_parts(text: str) -> list[str]:
    """The parts of a question where each can be looked up alone; none where there are no two.

    Example:
        >>> separate_parts("Who leads Orb, and who leads Zed?")
        ['Who leads Orb', 'who leads Zed?']
        >>> separate_parts("Who leads Orb, and where is it?")
        []
    """
    first, *others = parts_of(text)
    pointing = any(_POINTING & set(words(one)) for one in others)
    return [] if pointing or not others else [first, *others]
