"""Takes out of HTML what is not shown.

Python's parser reads what is not closed again from each place where it might begin: for a page of
such beginnings, that is the square of its length.
"""

from __future__ import annotations

import re

_EMBEDDED = re.compile(r"\bdata:[\w/+.;=-]{0,100};base64,[A-Za-z0-9+/=]{100,}", re.IGNORECASE)
_RAW = re.compile(r"<(script|style)\b", re.IGNORECASE)
_CLOSING = {name: re.compile(f"</{name}[^>]{{0,99}}>", re.I) for name in ("script", "style")}
# The quantifiers do not give back what they took, so that no tag is read twice.
_TAG = re.compile(
    r"""</?[a-z](?:[^<>"']*+(?:"[^"]{0,5000}+"[^<>"']*+|'[^']{0,5000}+'[^<>"']*+)*+|[^<>]{0,5000}+)>""",
    re.IGNORECASE,
)


def without_embedded(text: str) -> str:
    """A text without the files that are written into its links.

    Example:
        >>> without_embedded(f"![a](data:image/png;base64,{100 * 'A'})")
        '![a](data:)'
    """
    return _EMBEDDED.sub("data:", text) if ";base64," in text else text


def without_traps(markup: str) -> str:
    """HTML without comments, declarations, scripts and styles; a ``<`` that begins no tag is text.

    Example:
        >>> without_traps("<p>a < b<!-- c --><script>d()</script><a <b>")
        '<p>a &lt; b&lt;a <b>'
    """
    kept: list[str] = []
    at = 0
    markup = without_embedded(markup)
    while (start := markup.find("<", at)) >= 0:
        kept.append(markup[at:start])
        at = _after_hidden(markup, start)
        if at > start:
            continue
        tag = _TAG.match(markup, start)
        kept.append(tag[0] if tag else "&lt;")
        at = tag.end() if tag else start + 1
    return "".join([*kept, markup[at:]])


def _after_hidden(markup: str, start: int) -> int:
    """Where what is not shown ends; ``start`` where something begins that is."""
    if markup.startswith("<!--", start):
        return _after(markup, "-->", start + 4)
    if markup.startswith(("<!", "<?"), start):
        return _after(markup, ">", start)
    raw = _RAW.match(markup, start)
    if raw is None:
        return start
    closing = _CLOSING[raw[1].lower()].search(markup, start)
    return closing.end() if closing else len(markup)


def _after(markup: str, end: str, start: int) -> int:
    # What is not closed hides all the rest, as in a browser.
    found = markup.find(end, start)
    return len(markup) if found < 0 else found + len(end)
