"""A passage's text with what it stands under, and what its vector is kept by."""

from __future__ import annotations

import hashlib

from aegis_graph.text.passages import Passage

_BEGINNING = 400
"""Characters of a passage in which a heading is looked for: there it is read together with it."""


def text_in_place(title: str, passage: Passage) -> str:
    r"""A passage under its title and its section, as it is ranked, embedded and shown to a model.

    Example:
        >>> text_in_place("Guide", Passage(source="a.md", text="It is hard.", heading="Limits"))
        '# Guide\n## Limits\n\nIt is hard.'
    """
    beginning = passage.text[:_BEGINNING]
    above = dict.fromkeys(one for one in (title, passage.heading) if one and one not in beginning)
    marks = [f"{'#' * level} {one}" for level, one in enumerate(above, start=1)]
    return "\n".join([*marks, "", passage.text]) if marks else passage.text


def digest_of(text: str) -> bytes:
    """What a vector is kept by: the same text is embedded once."""
    return hashlib.sha256(text.encode()).digest()[:16]
