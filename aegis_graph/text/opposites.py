"""Whether a text says the opposite of a claim in other words than "no": more and less, or reversed.

Words of one group exclude each other. A claim that has one of them is not borne out by a text that
has another one instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_graph.text.words import STOP_WORDS, words

_GROUPS = """
increase increased increases increasing rise rises rose risen grew grows grown climbed
 | decrease decreased decreases decreasing fall falls fell fallen dropped shrank declined declines
stieg steigt gestiegen wuchs gewachsen erh\u00f6ht
 | sank sinkt gesunken fiel f\u00e4llt verringert gesenkt
minimum minimal mindestens | maximum maximal h\u00f6chstens
before bevor | after nachdem
earlier fr\u00fcher | later sp\u00e4ter
enabled enables enable aktiviert | disabled disables disable deaktiviert
allowed allows allow permitted permits erlaubt gestattet zul\u00e4ssig
 | forbidden forbids prohibited prohibits banned disallowed verboten untersagt unzul\u00e4ssig
included includes include including | excluded excludes exclude excluding
required mandatory compulsory obligatory verpflichtend vorgeschrieben
 | optional voluntary freiwillig
accepted accepts angenommen | rejected rejects declined abgelehnt
opens \u00f6ffnet | closes schlie\u00dft
opened ge\u00f6ffnet | closed geschlossen
doubled verdoppelt | halved halbiert
won gewann gewonnen | lost verlor verloren
faster schneller | slower langsamer
larger bigger gr\u00f6\u00dfer | smaller kleiner
higher h\u00f6her | lower niedriger
longer l\u00e4nger | shorter k\u00fcrzer
older \u00e4lter | younger newer j\u00fcnger neuer
cheaper billiger g\u00fcnstiger | teurer costlier
better besser | worse schlechter
stronger st\u00e4rker | weaker schw\u00e4cher
warmer hotter w\u00e4rmer | cooler colder k\u00e4lter k\u00fchler
north n\u00f6rdlich norden | south s\u00fcdlich s\u00fcden | east \u00f6stlich osten
 | west westlich westen
hourly st\u00fcndlich hour hours stunde stunden | daily t\u00e4glich day days tag tage tagen
 | weekly w\u00f6chentlich week weeks woche wochen
 | monthly monatlich month months monat monate monaten
 | yearly annual annually j\u00e4hrlich year years jahr jahre jahren
monday mondays montag montags | tuesday tuesdays dienstag dienstags | wednesday wednesdays mittwoch
 mittwochs | thursday thursdays donnerstag donnerstags | friday fridays freitag freitags
 | saturday saturdays samstag samstags | sunday sundays sonntag sonntags
"""

_PREFIXES = ("un", "dis", "non", "in", "im", "il", "ir", "mis", "miss", "nicht", "de", "anti")
"""What turns a word into its opposite where it stands before it."""


def _groups() -> Iterator[list[frozenset[str]]]:
    for line in re.sub(r"\n ", " ", _GROUPS).strip().splitlines():
        yield [frozenset(words(part)) for part in line.split("|")]


_EXCLUSIVE = list(_groups())
_MEMBERS = frozenset(word for group in _EXCLUSIVE for part in group for word in part)

_BOUND = re.compile(
    r"(?:(?P<lower>\b(?:more than|greater than|over|above|at least|no less than|no fewer than"
    r"|minimum(?: of)?|mindestens|wenigstens|mehr als|\u00fcber)\b|>=?|\u2265)"
    r"|(?P<upper>\b(?:less than|fewer than|under|below|at most|no more than|up to|maximum(?: of)?"
    r"|h\u00f6chstens|maximal|weniger als|unter|bis zu)\b|<=?|\u2264))"
    r"\s*(?:[$\u20ac\u00a3]\s?)?(?P<number>\d+(?:[.,]\d+)*)",
    re.IGNORECASE,
)
_THAN = re.compile(
    r"\b(?P<degree>(?:more|less|fewer|mehr|weniger)\s+\w+|\w+er|better|worse|less)\s+(?:than|als)\b",
    re.IGNORECASE,
)
_INITIALS = re.compile(r"\b((?:[A-Z]\.[ ]?)+)([A-Z][\w'\u2019-]+)")
_SENTENCE = re.compile(r"[.!?;]\s+|\n")


def are_opposed(claim: str, text: str) -> bool:
    """Whether a text has the words of a claim, and says the opposite.

    Example:
        >>> are_opposed("It costs more than 5 EUR.", "It costs less than 5 EUR.")
        True
        >>> are_opposed("A train is faster than a coach.", "A coach is faster than a train.")
        True
    """
    said = _MEMBERS.intersection(words(claim))
    if said and _excluded(said, frozenset(words(text))):
        return True
    return (
        _bounded_otherwise(claim, text)
        or _is_another_person(claim, text)
        or _is_turned_round(claim, text)
    )


def _excluded(said: frozenset[str], there: frozenset[str]) -> bool:
    for group in _EXCLUSIVE:
        own = [part for part in group if part & said]
        others = [part for part in group if part not in own]
        # A claim that has both compares them.
        if len(own) == 1 and not own[0] & there and any(part & there for part in others):
            return True
    return False


def _bounded_otherwise(claim: str, text: str) -> bool:
    """Whether a number that a claim bounds from below is bounded from above, or the other way."""
    for bound in _BOUND.finditer(claim):
        kinds = {
            "upper" if one["lower"] is None else "lower"
            for one in _BOUND.finditer(text)
            if one["number"] == bound["number"]
        }
        if kinds and ("lower" in kinds) != (bound["lower"] is not None) and len(kinds) == 1:
            return True
    return False


def _is_turned_round(claim: str, text: str) -> bool:
    """Whether what is compared has changed places."""
    own = _THAN.search(claim)
    if own is None:
        return False
    before, after = _names(claim[: own.start()]), _names(claim[own.end() :])
    for sentence in _SENTENCE.split(text):
        for there in _THAN.finditer(sentence):
            left, right = _names(sentence[: there.start()]), _names(sentence[there.end() :])
            kept = before & left or after & right or words(there[0]) != words(own[0])
            if not kept and before & right and after & left:
                return True
    return False


def _is_another_person(claim: str, text: str) -> bool:
    """Whether a name has other initials in a text than in a claim."""
    for initials, name in _INITIALS.findall(claim):
        there = {first[0] for first, surname in _INITIALS.findall(text) if surname == name}
        if there and initials[0] not in there:
            return True
    return False


def _names(text: str) -> set[str]:
    return {word for word in words(text) if word not in STOP_WORDS}


def are_opposite_words(one: str, other: str) -> bool:
    """Whether of two words, one is the other with what turns it into its opposite.

    Example:
        >>> are_opposite_words("allowed", "disallowed"), are_opposite_words("read", "reader")
        (True, False)
    """
    short, long = sorted((one, other), key=len)
    return any(
        long.startswith(prefix) and long[len(prefix) :][: len(short) - 1] == short[:-1]
        for prefix in _PREFIXES
    )
