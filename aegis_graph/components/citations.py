"""Checks the citations of an answer against the passages it was given, and quotes the support."""

from __future__ import annotations

import re
from collections.abc import Sequence

from typing_extensions import TypedDict

from aegis_graph.text.passages import Passage, replace_citations
from aegis_graph.text.quotes import supporting
from aegis_graph.text.sentences import split_sentences


class Citation(TypedDict):
    """Where a sentence of an answer comes from."""

    n: int
    """The number in the answer's square brackets."""
    source: str
    """The document, with the page where it has pages."""
    quote: str
    """The sentence that supports the answer, exactly as the document has it."""


def cite(answer_text: str, passages: Sequence[Passage]) -> tuple[str, list[Citation]]:
    """Take the citations out of an answer, and the numbers that cite nothing away from it.

    Each ``[1]`` or ``[1, 3]`` refers to the sentence before it; the quote is the sentence of the
    passage that shares most with that one. The same quote is listed once.

    Example:
        >>> cite("It is 10 USD. [1] [7]", [Passage(source="a.md", text="Hm. The limit: 10 USD.")])
        ('It is 10 USD. [1]', [{'n': 1, 'source': 'a.md', 'quote': 'The limit: 10 USD.'}])
    """
    found: dict[tuple[int, str], Citation] = {}
    claim, seen = "", 0

    def one(mark: re.Match[str], numbers: list[int]) -> str:
        nonlocal claim, seen
        claim, seen = _last_sentence(answer_text[seen : mark.start()]) or claim, mark.end()
        known = [n for n in dict.fromkeys(numbers) if 1 <= n <= len(passages)]
        for n in known:
            passage = passages[n - 1]
            quote = supporting(claim, passage.text)
            if claim and claim in passage.text and claim not in quote:
                quote = claim  # A table's head, which is no sentence.
            found.setdefault((n, quote), Citation(n=n, source=passage.location, quote=quote))
        return f"{mark['space']}[{', '.join(map(str, known))}]" if known else ""

    text = replace_citations(answer_text, one)
    return text, list(found.values())


def _last_sentence(text: str) -> str:
    """The last sentence with a word in it, or nothing."""
    sentences = [one.text for one in split_sentences(text) if re.search(r"\w", one.text)]
    return sentences[-1] if sentences else ""
