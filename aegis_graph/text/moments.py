"""Dates, times of day and spelled numbers in one spelling, so that two texts can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_MONTH_NAMES = (
    "january jan januar j\u00e4nner",
    "february feb februar",
    "march mar m\u00e4rz m\u00e4r",
    "april apr",
    "may mai",
    "june jun juni",
    "july jul juli",
    "august aug",
    "september sep sept",
    "october oct oktober okt",
    "november nov",
    "december dec dezember dez",
)
_MONTHS = {name: n for n, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
_MONTH = rf"(?:{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[5-9]|20)\d\d"
_DATE = re.compile(
    rf"""\b(?:
      (?P<iso_year>{_YEAR})[-/.](?P<iso_month>0[1-9]|1[0-2])[-/.](?P<iso_day>{_DAY})(?!\d)
      |(?:(?P<first>{_DAY})\.?\s*(?:-|\u2013|to|and|bis|und)\s*)?
        (?P<day>{_DAY})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?P<month>{_MONTH})(?:,?\s+(?P<year>{_YEAR}))?
      |(?P<us_month>{_MONTH})\s+(?P<us_day>{_DAY})(?:st|nd|rd|th)?(?!\d|[.:]\d)
        (?:,?\s+(?P<us_year>{_YEAR}))?
      |(?P<one>0?[1-9]|[12]\d|3[01])(?P<mark>[./])(?P<two>0?[1-9]|[12]\d|3[01])(?P=mark)
        (?P<last>{_YEAR})
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_HALF = r"\s?(?:(?P<{0}>[ap])\.?m\b\.?|(?:Uhr|o'clock)\b)"
_TIME = re.compile(
    r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-4])(?::(?P<minute>[0-5]\d)(?::\d\d)?"
    rf"(?:{_HALF.format('half')})?(?![\d:])|{_HALF.format('full')})",
    re.IGNORECASE,
)
_UNIT_NAMES = """
two/zwei three/drei four/vier five/f\u00fcnf six/sechs seven/sieben eight/acht nine/neun ten/zehn
eleven/elf twelve/zw\u00f6lf thirteen/dreizehn fourteen/vierzehn fifteen/f\u00fcnfzehn
sixteen/sechzehn seventeen/siebzehn eighteen/achtzehn nineteen/neunzehn
"""
_TEN_NAMES = """
twenty/zwanzig thirty/drei\u00dfig forty/vierzig fifty/f\u00fcnfzig sixty/sechzig seventy/siebzig
eighty/achtzig ninety/neunzig
"""


def _by_name(names: str) -> dict[str, int]:
    numbered = enumerate(names.split(), start=2)
    return {name: number for number, both in numbered for name in both.split("/")}


_UNITS = _by_name(_UNIT_NAMES)
_TENS = {name: 10 * number for name, number in _by_name(_TEN_NAMES).items()}
_ONES = {"one": 1, "ein": 1, **{word: n for word, n in _UNITS.items() if n < 10}}
_SPELLED = re.compile(
    rf"\b(?:(?P<de_one>{'|'.join(_ONES)})und(?P<de_ten>{'|'.join(_TENS)})"
    rf"|(?P<ten>{'|'.join(_TENS)})(?:[- ](?P<one>{'|'.join(_ONES)}))?"
    rf"|(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))}))\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(rf"\d|{_SPELLED.pattern}", re.IGNORECASE)


class _Moment(NamedTuple):
    start: int
    end: int
    readings: tuple[str, ...]
    """As numbers that nothing else has; several where the order of day and month is open."""
    open_year: bool = False


def in_one_spelling(claim: str, text: str) -> tuple[str, str]:
    """A claim and a text in which the same dates, times and numbers are the same digits.

    Dates and times of a claim are compared as such only where the text has any.

    Example:
        >>> in_one_spelling("Three rooms from 5 pm on", "3 rooms, open at 17:00")
        ('3 rooms from 7701700 on', '3 rooms, open at 17:00 7701700')
    """
    if not _NUMBER.search(claim):
        return claim, text
    for find in (_dates, _times):
        own = list(find(claim))
        there = list(find(text)) if own else []
        if there:
            claim, text = _replaced(claim, text, own, there)
    spelled = _SPELLED.sub(_digits, text)
    # A number of things that a text lists, and does not count, is a word.
    return (_SPELLED.sub(_digits, claim) if re.search(r"\d", spelled) else claim), spelled


def _replaced(claim: str, text: str, own: list[_Moment], there: list[_Moment]) -> tuple[str, str]:
    known = {reading for one in there for reading in one.readings}
    for one in reversed(own):
        ends = {reading: reading[-4:] for reading in one.readings}
        same = next((r for r in one.readings if r in known), None) or next(
            (
                candidate
                for moment in there
                for candidate in moment.readings
                if (one.open_year or moment.open_year) and candidate[-4:] in ends.values()
            ),
            one.readings[0],
        )
        claim = f"{claim[: one.start]}{same}{claim[one.end :]}"
    for one in reversed(there):
        text = f"{text[: one.end]} {' '.join(one.readings)}{text[one.end :]}"
    return claim, text


def _dates(text: str) -> Iterator[_Moment]:
    for match in _DATE.finditer(text):
        found = match.groupdict()
        if found["iso_year"]:
            days = [(found["iso_month"], found["iso_day"])]
            year = found["iso_year"]
        elif found["last"]:
            one, two, year = int(found["one"]), int(found["two"]), found["last"]
            days = [(two, one)] if two <= 12 else []
            days += [(one, two)] if one <= 12 and found["mark"] == "/" and one != two else []
        else:
            named = found["month"] or found["us_month"]
            month = _MONTHS[named.rstrip(".").casefold()]
            written = (found["first"], found["day"] or found["us_day"])
            days = [(month, day) for day in written if day]
            year = found["year"] or found["us_year"]
        readings = tuple(f"88{year or '0000'}{int(month):02}{int(day):02}" for month, day in days)
        if readings:
            yield _Moment(match.start(), match.end(), readings, open_year=not year)


def _times(text: str) -> Iterator[_Moment]:
    for match in _TIME.finditer(text):
        hour, minute = int(match["hour"]), int(match["minute"] or 0)
        half = (match["half"] or match["full"] or "").casefold()
        if half and hour <= 12:
            hour = hour % 12 + (12 if half == "p" else 0)
        yield _Moment(match.start(), match.end(), (f"770{hour:02}{minute:02}",))


def _digits(match: re.Match[str]) -> str:
    if match["unit"]:
        return str(_UNITS[match["unit"].casefold()])
    ten, one = match["ten"] or match["de_ten"], match["one"] or match["de_one"]
    return str(_TENS[ten.casefold()] + (_ONES[one.casefold()] if one else 0))
