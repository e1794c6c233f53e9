"""What stands in a document and is no prose: front matter, directives, badges, tags.

Documents that were read from files have little of it left; passages of other origin have it all.
"""

from __future__ import annotations

import re

from aegis_graph.text.directives import DIRECTIVES, FRONT_FIELD, lines_of_prose

_FRONT = re.compile(
    r"\s*(---|\+\+\+)[ \t]*\n(?P<fields>.{0,8000}?)^(?:\1|\.\.\.)[ \t]*$", re.M | re.S
)
_COMMENT = re.compile(r"<!--.*?-->|<(style|script)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_LINE = re.compile(
    rf"""(?:{DIRECTIVES}
      | <<<\s.* | @include.* | !include\s.*                            # snippets
      | \.\.\s+[\w:-]+::.* | :[\w-]+:(?:\s.*)? | \.\.\s+_[^:]+:.*    # reStructuredText
      | (?:include|image|ifdef|ifndef|endif|toc)::.*                 # AsciiDoc
      | \[![A-Z]+\]
      | \?\?\?\+?\s.* | !!!\s.* | ///.* | ===\s+["'].*       # admonitions, tabs
      | \[[^\]]+\]:\s+\S+.*                                           # targets of links
      | (?:[-*+]\s+)?\[[^\]]*\]\(\#[^)]*\)                            # a table of contents
      | (?:[|·•\s]|\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?)+          # badges and pictures
      | (?:[-*+]\s+)?\[[^\]]*\]\([^)]*\)\{{[^}}]*\}}                     # buttons
      | (?:</?[a-z][^<>]*>|<br\s*/?>|&\w+;|\s)+                       # tags without text
      | <?/?[a-z-]+=["'].*>? | [\w-]+=["'][^"']*["']>?               # a tag over several lines
      | \{{[:.\#][^}}]*\}}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_QUOTED_MARK = re.compile(r">\s*\[![A-Z]+\]")
_STARTS = frozenset("{-;<@!.:[?/=*+|>&ir\u00b7\u2022")


def without_markup(text: str) -> str:
    r"""The text with a space for each character that is no prose: every place in it stays.

    Example:
        >>> without_markup("!!! note\nIt is blue.").split()
        ['It', 'is', 'blue.']
    """
    front = _FRONT.match(text)
    if front and (not front["fields"].strip() or FRONT_FIELD.search(front["fields"])):
        text = _blank(front[0]) + text[front.end() :]
    if "<" in text:
        text = _COMMENT.sub(lambda found: _blank(found[0]), text)
    lines = text.split("\n")
    for place, line in lines_of_prose(lines):
        if _is_markup(line):
            lines[place] = " " * len(line)
    return "\n".join(lines)


def plain(text: str) -> str:
    """The words of a piece of Markdown: a link is its text, and no mark of emphasis is left."""
    text = re.sub(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}(?:\s[^()]{0,100})?\)", r"\1", text)
    text = re.sub(r"\b(?:https?|ftp)://\S+", " ", text)
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _is_markup(line: str) -> bool:
    bare = line.strip()
    if bare[:1].casefold() in _STARTS or "=" in bare:
        # Of the whole line, whose ends have no spaces: spaces that two parts of a pattern could
        # take would be tried in every split.
        return bool(_LINE.fullmatch(bare) or _QUOTED_MARK.fullmatch(bare))
    return False
