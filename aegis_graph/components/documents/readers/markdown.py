"""Markdown and MDX, without what is no prose: front matter, comments, directives, badges.

Every line keeps its place: what is taken out leaves an empty line.
"""

from __future__ import annotations

import re

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.text.directives import DIRECTIVES, FRONT_FIELD, lines_of_prose

_FRONT = re.compile(
    r"(?:(---)[ \t]*\n(.*?)^(?:---|\.\.\.)|(\+\+\+)[ \t]*\n(.*?)^\+\+\+)[ \t]*$", re.M | re.S
)
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(\S[^\n]*)$", re.MULTILINE | re.IGNORECASE)
_MOST_FRONT = 20_000
"""Characters that front matter has, at most; a rule at the top of a long text begins none."""
_DIRECTIVE = re.compile(
    rf"""\s*(?:{DIRECTIVES}
      | \.\.\s+(?:include|toctree|literalinclude)::.*
      | (?:\[?!\[[^\]]*\]\([^)]*(?:badge|shield|\.svg)[^)]*\)(?:\]\([^)]*\))?\s*)+   # badges
    )\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
_MODULE = re.compile(r"(?:import\s.+|export\s.+)")
_TAG = re.compile(r"\s*</?[A-Z][\w.]*(?:\s[^<>]*)?/?>\s*$")


def read(raw: RawDocument) -> Content:
    """The text, with its front matter's title."""
    text = decode(raw.data)
    text, title = _without_front_matter(text)
    return Content([Section(text=_cleaned(text, mdx=raw.suffix == ".mdx"), first_line=1)], title)


def _without_front_matter(text: str) -> tuple[str, str]:
    blank = len(text) - len(text.lstrip("\n"))
    found = _FRONT.match(text, blank, blank + _MOST_FRONT)
    if found is None:
        return text, ""
    fields = found[2] or found[4] or ""
    # Between two rules there may as well be prose.
    if fields.strip() and not FRONT_FIELD.search(fields):
        return text, ""
    title = _TITLE.search(fields)
    rest = "\n" * text.count("\n", 0, found.end()) + text[found.end() :]
    return rest, title[1].strip().strip("\"'").strip() if title else ""


def _cleaned(text: str, *, mdx: bool) -> str:
    # Searching for a piece of a line is much faster than matching each line.
    if not mdx and not any(mark in text for mark in ("<!--", "{", "8<", "..", "[", ":::")):
        return text
    for opening, closing in (("<!--", "-->"), ("{/*", "*/}")):
        text = _without(text, opening, closing)
    lines = text.split("\n")
    for place, line in lines_of_prose(lines):
        if _is_no_prose(line, mdx=mdx):
            lines[place] = ""
    return "\n".join(lines)


def _without(text: str, opening: str, closing: str) -> str:
    """A text without its comments; one that is not closed is none, as in a code example."""
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        end = text.find(closing, start)
        if end < 0:
            break
        kept += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + len(closing)
    return "".join([*kept, text[at:]]) if at else text


def _is_no_prose(line: str, *, mdx: bool) -> bool:
    start = line.lstrip()[:1]
    if start and start in "{-;.[!:" and _DIRECTIVE.match(line):
        return True
    return mdx and bool(_MODULE.match(line) or _TAG.match(line))
