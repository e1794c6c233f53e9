"""What Markdown files have between their prose: the marks that each reader of one leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

FRONT_FIELD = re.compile(r"^[\w-]+[ \t]*[:=]", re.MULTILINE)
"""A field of front matter: between two rules without one may as well be prose."""

DIRECTIVES = r"""
    \{%.*%\} | \{!.*!\} | \{\*.*\*\} | \{\{[<%].*[>%]\}\}     # templates, and MkDocs' includes
  | -{1,2}8<-{1,2}.* | ;-{1,2}8<-{1,2}.*                       # snippets
  | !?\[\[_?TOC_?\]\] | \[TOC\]
  | :::+.*                                                      # fences of an admonition
"""
"""Whole lines, as alternatives of a verbose pattern."""

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")


def lines_of_prose(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The lines that are no code and no fence of it, with their places.

    Example:
        >>> list(lines_of_prose(["a", "```", "b", "```", "c"]))
        [(0, 'a'), (4, 'c')]
    """
    fence = ""
    for place, line in enumerate(lines):
        # Searching for a mark is much faster than matching each line.
        mark = _FENCE.match(line) if "`" in line or "~" in line else None
        if mark is not None and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence:
            yield place, line
