"""What a claim says beyond what is given, in words."""

from __future__ import annotations

import re
from collections.abc import Set

from aegis_graph.components.answer_generator.citations import CitedSentence
from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.passages import Passage
from aegis_graph.text.support import is_negative
from aegis_graph.text.words import STOP_WORDS, max_closeness, words

_SAYS = re.compile(
    r"^(?:(?:according to|in) )?(?:(?:the |passage |passages |\[?\d+\]? )+"
    r"|the [^.,;:]{1,60}? )(?:states?|says?|mentions?)(?: that)? "
    r"|^(?:laut|nach|in) (?:der )?textstelle(?: \d+)? ",
    re.IGNORECASE,
)
"""How answers speak of a passage before they say what it says."""
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


def bare_claim(sentence: CitedSentence, count: int) -> str:
    """A sentence without its numbers.

    Args:
        sentence: Of an answer.
        count: How many passages there are.
    """
    return replace_citations(sentence["text"], lambda mark, numbers: "", count=count).strip()


def whole_text(passage: Passage) -> str:
    """A passage with its document's name and its heading, which it need not repeat."""
    return f"{passage.source}\n{passage.heading}\n{passage.text}"


def without_known(known: Set[str], claim: str) -> str:
    """A claim without words that are known or carry no topic, and with what says no.

    Example:
        >>> without_known({"battery"}, "The battery does not last 9 days.").split()
        ['not', '9', 'days.']
    """

    def rest(word: re.Match[str]) -> str:
        parts = words(word[0])
        is_known = all(part in STOP_WORDS or max_closeness(part, known) for part in parts)
        return "" if is_known and not is_negative(word[0]) else word[0]

    return _WORD.sub(rest, claim)


def without_source(claim: str) -> str:
    """A claim without the words that say where it is from.

    Example:
        >>> without_source("The passage states that it is red.")
        'it is red.'
    """
    return _SAYS.sub("", claim)
