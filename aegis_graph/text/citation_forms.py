"""The forms of citations, as patterns, by the character that each begins with.

What of them is a citation depends on the text around it; see ``citation_marks``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_LABEL = (
    r"(?:sources?|passages?|doc(?:ument)?s?|refs?|references?|cit(?:e[sd]?|ations?)|contexts?"
    r"|excerpts?|chunks?|footnotes?|quellen?|textstellen?|dokumente?n?|belege?n?|fundstellen?"
    r"|fu\u00dfnoten?|\u6765\u6e90|\u51fa\u5178|\u6587\u6863|\u6587\u732e|\u8d44\u6599|\u8cc7\u6599"
    r"|fuentes?|fontes?|fonti|bron(?:nen)?|\u017ar\u00f3d\u0142[oa]|kaynak(?:lar)?|\ucd9c\ucc98"
    r"|\u0438\u0441\u0442\u043e\u0447\u043d\u0438\u043a\u0438?|\u0627\u0644\u0645\u0635\u062f\u0631)"
)
_SEE = r"(?:(?:see(?:[ ]also)?|cf\.?|from|in|per|vgl\.?|siehe(?:[ ]auch)?|s\.|aus|laut|nach)[ ])?"
_GAP = "[ \\t\u00a0\u3000]{0,3}"
_LABELLED = (
    rf"{_LABEL}(?:_?id)?[.:\uff1a]?{_GAP}(?:(?:no|nr|number|nummer)s?\.?{_GAP})?[#:_-]?{_GAP}"
)
_NUMBER = r"\d{1,3}"
TO = rf"{_GAP}(?:[-\u2010-\u2015~\u301c\uff5e]|\bto\b|\bthrough\b|\bbis\b){_GAP}"
_ITEM = (
    rf"(?:{_LABELLED}|[\#\^]{_GAP})?\[?\^?{_NUMBER}"
    rf"(?:{TO}(?:{_LABELLED}|[\#\^])?{_NUMBER})?\]?"
)
_AND = (
    rf"{_GAP}(?:[,;\uff0c\u3001\uff1b&]{_GAP}(?:and\b|und\b)?|\band\b|\bund\b|\bet\b|\by\b){_GAP}"
)
_BESIDE = rf"{_GAP}[/|+]{_GAP}(?={_LABEL})"
_ITEMS = rf"{_ITEM}(?:(?:{_AND}|{_BESIDE}){_ITEM}){{0,30}}"
_PLAIN = rf"{_NUMBER}(?:{TO}{_NUMBER})?"
_MORE = (
    rf"(?:{_GAP}(?:[:,|]|\bp\.|\bS\.|\u2014|\u2013|\s-\s){_GAP}[^\[\]()\n]{{1,80}}"
    rf"|{_GAP}\([^\[\]()\n]{{1,80}}\))?"
)
_DAGGER = r"(?:\u2020[^\]\u3011\n]{0,80})?"
LINK = (
    r"(?:\((?:|(?:https?:|www\.|mailto:|[/\#.<])[^()\s]{0,500}|[^()\s]{1,200}\.\w{1,5}(?:\#[^()\s]*)?)"
    r"(?:[ ]\"[^\"\n]{0,100}\")?\))"
)
_ECHO = r"(?:\s?\((?:source|quelle):[^()\n]{1,120}\))"
RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
"""The digits, in their order."""
_RUN = f"[{RAISED}]+"

GROUPS = (
    *(
        "plain",
        "square",
        "inner",
        "wide",
        "dagger",
        "escaped",
        "round",
        "tagged",
        "named",
        "raised",
    ),
    *("lifted", "bracketed", "math", "latex", "empty"),
)
"""The parts of a match with its numbers, by form."""
_FORMS: tuple[tuple[str, str], ...] = (
    (
        "[",
        rf"""\[\^?(?P<plain>{_GAP}{_PLAIN}(?:{_AND}{_PLAIN}){{0,40}}{_GAP})[,;.]?\^?\]
            (?P<behind>{LINK}|{_ECHO})?
        | \[(?P<dagger>(?:{_NUMBER}:)?{_NUMBER}\u2020)[^\]\n]{{0,80}}\]
        | (?P<empty>\[cite_start\])""",
    ),
    ("[", rf"\[\[(?P<inner>{_PLAIN})\]?{LINK}\]|\[(?P<bracketed>[{RAISED}]+)\]"),
    (
        "[",
        rf"\[{_GAP}(?:(?:see|cf\.?|vgl\.?|siehe)[ ])?(?P<square>{_ITEMS}){_MORE}{_GAP}\]"
        rf"(?:{LINK}|{_ECHO})?",
    ),
    (
        "\u3010\uff3b\u3014\u3016",
        rf"[\u3010\uff3b\u3014\u3016](?P<wide>{_GAP}(?:{_NUMBER}:)?{_ITEMS}){_DAGGER}{_GAP}"
        r"[\u3011\uff3d\u3015\u3017]",
    ),
    ("\\", rf"\\\[{_GAP}(?P<escaped>{_ITEMS}){_GAP}\\\]"),
    (
        "(\uff08",
        rf"[(\uff08]{_GAP}{_SEE}"
        rf"(?P<round>(?=\[|{_LABEL}){_ITEMS}){_MORE}{_GAP}[)\uff09]",
    ),
    (
        "<",
        rf"<(?P<tag>sup|cite|ref|citation|source)>\[?(?P<tagged>{_ITEMS})\]?{LINK}?</(?P=tag)>"
        rf"|<(?:cite|ref|citation|source)[ ]\w+=[\"']?(?P<named>{_NUMBER})[\"']?[ ]?/>",
    ),
    (f"{RAISED}\u207d", rf"\u207d?(?P<raised>{_RUN}(?:[,\u02d2\u207b\u2013-]{_RUN})*)\u207e?"),
    ("^", rf"\^(?P<lifted>{_PLAIN}(?:,{_PLAIN})*)\^"),
    ("$", rf"\$\^{{?(?P<math>{_PLAIN}(?:,[ ]?{_PLAIN}){{0,30}})}}?\$"),
    ("\\", rf"\\cite[pt]?{{(?P<latex>{_PLAIN}(?:,[ ]?{_PLAIN}){{0,30}})}}"),
)
"""What a citation may begin with, and how it then goes on; the first that fits counts."""
_BEGINNING = re.compile(f"[{re.escape(''.join(begins for begins, _ in _FORMS))}]")

PARENTHESES = re.compile(
    r"(?:(?<=[.!?\"'\u201d\u2019\u00bb*_%])|(?<=\w)(?=[ \t]))(?P<space>[ \t]*)"
    r"\((?P<numbers>\d{1,2}(?:[ ]?[,;][ ]?\d{1,2})*)\)"
    r"(?=[\"'\u201d\u2019\u00bb*_]*(?:[.,;!?](?:\s|$)|[ \t]*(?:\n|$))|(?<=[.!?][ ]...)[ ])"
)
"""Numbers in parentheses at the ends of sentences."""
COUNTED = re.compile(
    r"(?:\b(?:Abs|Absatz|Art|Artikel|Satz|Nr|no|section|paragraph|article|step|level|page|appendix"
    r"|figure|table|equation|Gleichung|Abbildung|Tabelle)\.?\s*|\u00a7+\s*\w*|\b[^\W\d]"
    r"|\b(?:or|and|oder|und|one|two|three|four|five|six|ein|eine|einer|zwei|drei|vier|f\u00fcnf|sechs))$",
    re.IGNORECASE,
)
"""What a number in parentheses belongs to as a part of it, or repeats."""


def citation_forms(text: str) -> Iterator[re.Match[str]]:
    """What has the form of a citation, in order; a match has one of ``GROUPS``."""
    end = 0
    for beginning in _BEGINNING.finditer(text):
        if beginning.start() < end:
            continue
        forms = (_form(pattern) for begins, pattern in _FORMS if beginning[0] in begins)
        found = (form.match(text, beginning.start()) for form in forms)
        match = next((one for one in found if one is not None), None)
        if match is not None:
            end = match.end()
            yield match


@cache  # Not on import, and only what a text needs: to compile all takes as long as ten rooms.
def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)
