"""Citations that name a source and should give its number: ``[b.md]``, ``(source: b.md)``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aegis_graph.text.code import code_spans, is_inside
from aegis_graph.text.passages import Passage
from aegis_graph.text.support import shared_words

_LABEL = r"(?:(?:sources?|quellen?|see|from|siehe|aus|laut|vgl\.?)[ ]?:?[ ]?)?"
_NAMED = re.compile(
    rf"(?<![\]!\w])(?P<open>[\[(]){_LABEL}(?P<name>[^\[\]()\n]{{1,200}}?)[\])]"
    r"(?:\((?P<link>[^()\s]{1,300})\))?",
    re.IGNORECASE,
)
_ACCORDING = re.compile(
    r"(?P<lead>\b(?:according to|as (?:stated|described|noted|shown|mentioned|explained) in"
    r"|based on|laut|gem\u00e4\u00df|nach|wie in))(?:[ ]the)?"
    r"[ ](?:source|passage|document|quelle|textstelle|dokument)[ ](?P<number>\d{1,3})\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_WINDOW = 400


def with_numbers(answer: str, passages: Sequence[Passage]) -> str:
    """An answer in which a source's name in brackets is the number of its passage.

    Of several passages of one document, it is the one that has most of the words before it.

    Example:
        >>> passages = [Passage(source="a.md", text="Red."), Passage(source="b.md", text="Blue.")]
        >>> with_numbers("It is blue (source: b.md). According to source 1, red.", passages)
        'It is blue [2]. According to [1], red.'
    """
    numbers: dict[str, list[int]] = {}
    for n, one in enumerate(passages, start=1):
        # A name without a dot may as well be a word of the sentence.
        for name in {one.source, one.source.rsplit("/", 1)[-1], one.location}:
            if "." in name:
                numbers.setdefault(name.casefold(), []).append(n)
    code = code_spans(answer)

    def number(match: re.Match[str]) -> str:
        name = match["name"].strip().casefold()
        # A page may follow.
        found = numbers.get(name) or numbers.get(name.partition(",")[0])
        before = answer[max(0, match.start() - _WINDOW) : match.start()]
        # What follows a number says again whose it is.
        if not found or is_inside(match.start(), code) or before.rstrip().endswith("]"):
            return match[0]
        said = _SENTENCE_END.split(before.rstrip(" .!?"))[-1]
        best = max(found, key=lambda n: shared_words(said, passages[n - 1].text))
        return f"[{best}]"

    def according(match: re.Match[str]) -> str:
        known = 1 <= int(match["number"]) <= len(passages)
        return f"{match['lead']} [{match['number']}]" if known else match[0]

    return _ACCORDING.sub(according, _NAMED.sub(number, answer))
