"""Numbers of a text with their signs and units, in one spelling, and whether two texts agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

_UNITS_WRITTEN = {
    "%": "% percent prozent pct",
    "usd": "$ usd us$ dollar dollars",
    "eur": "\u20ac eur euro euros",
    "gbp": "\u00a3 gbp pound pounds",
    "jpy": "\u00a5 jpy yen",
    "chf": "chf franken",
    "cent": "cent cents",
    "ms": "ms millisecond milliseconds millisekunde millisekunden",
    "s": "s sec secs second seconds sek sekunde sekunden",
    "min": "min mins minute minutes minuten",
    "h": "h hr hrs hour hours std stunde stunden",
    "d": "d day days tag tage tagen",
    "wk": "week weeks woche wochen",
    "mo": "month months monat monate monaten",
    "y": "year years jahr jahre jahren",
    "kb": "kb",
    "mb": "mb",
    "gb": "gb",
    "tb": "tb",
    "kib": "kib",
    "mib": "mib",
    "gib": "gib",
    "mm": "mm",
    "cm": "cm",
    "m": "m meter meters metre metres metern",
    "km": "km kilometer kilometers kilometre kilometres kilometern",
    "g": "g gram grams gramm",
    "kg": "kg kilogram kilograms kilogramm",
    "\u00b0c": "\u00b0c",
    "\u00b0f": "\u00b0f",
    "\u00b0": "\u00b0 degree degrees grad",
    "mi": "mi mile miles meile meilen",
    "ft": "ft feet foot fu\u00df",
    "l": "l liter litre liters litres litern",
    "ml": "ml",
    "mg": "mg",
    "\u00b5g": "\u00b5g \u03bcg",
    "v": "v volt volts",
    "w": "w watt watts",
    "kw": "kw kilowatt",
    "kwh": "kwh",
    "hz": "hz hertz",
    "khz": "khz",
    "mhz": "mhz",
    "ghz": "ghz",
    "bp": "bp bps",
    "km/h": "km/h kmh kph",
    "m/s": "m/s",
    "mb/s": "mb/s",
    "mbit/s": "mbit/s mbps",
    "gbit/s": "gbit/s gbps",
    "inr": "\u20b9 inr rupees",
    "rub": "\u20bd rub",
}
_LONG_UNITS = {
    "degrees celsius": "\u00b0c",
    "grad celsius": "\u00b0c",
    "degrees fahrenheit": "\u00b0f",
    "basis points": "bp",
    "basis point": "bp",
    "basispunkte": "bp",
    "basispunkten": "bp",
}
"""A unit's names of several words."""
_UNITS = {word: unit for unit, words in _UNITS_WRITTEN.items() for word in words.split()}
_UNITS |= {name.replace(" ", ""): unit for name, unit in _LONG_UNITS.items()}
_SCALES = {
    "k": 3,
    "thousand": 3,
    "tausend": 3,
    "m": 6,
    "mn": 6,
    "mio": 6,
    "million": 6,
    "millions": 6,
    "millionen": 6,
    "bn": 9,
    "billion": 9,
    "milliarde": 9,
    "milliarden": 9,
    "mrd": 9,
}
_LONG_SCALES = "|".join(sorted((one for one in _SCALES if len(one) > 1), key=len, reverse=True))
_NAMES = "|".join(
    re.escape(name)
    for name in sorted({*_UNITS, *_LONG_UNITS}, key=len, reverse=True)
    if name[0].isalpha() and name[-1].isalpha()
)

_AMOUNT = re.compile(
    # Nothing else can begin an amount: without this, all that follows is tried at every letter.
    rf"""
      (?=[\dmuegcj$\u20ac\u00a3\u00a5\u20b9\u20bd\-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d])
      (?P<sign>(?<![^\W_])(?<![\d%)\]])[-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d](?=[$\u20ac\u00a3\u00a5\u20b9\u20bd]?\d)
        |\bminus\s)?
      (?P<before>(?:US)?[$\u20ac\u00a3\u00a5\u20b9\u20bd]\s?-?|\b(?:USD|EUR|GBP|CHF|JPY)\s(?=\d))?
      (?P<number>\d{{1,3}}(?:[ \u00a0\u2009\u202f'\u2019]\d{{3}})+(?!\d)(?:[.,]\d+)?
        |\d+(?:[.,]\d+)*)
      (?:(?:[ \u00a0]?(?P<scale>(?:{_LONG_SCALES})\b)\.?)|(?P<short>(?-i:[kM])\b))?
      (?:[ \u00a0-]?(?P<unit>%|\u00b0[ ]?[CF]\b|\u00b0|[$\u20ac\u00a3\u00a5\u20b9\u20bd]
        |(?:{_NAMES})\b(?!/)))?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DECADE = re.compile(r"(?:1\d|20)\d0s", re.IGNORECASE)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
_LAKH = re.compile(r"[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?")


class Amount(NamedTuple):
    """A number of a text."""

    value: str
    unit: str | None


def amounts(text: str) -> list[Amount]:
    """The numbers of a text: 1,000 and 1.000 and 1000 are the same, and so are $5 and 5 USD.

    Example:
        >>> [tuple(one) for one in amounts("-500 EUR, 1,000.50 and 5 %")]
        [('-500', 'eur'), ('1000.50', None), ('5', '%')]
    """
    return list(_amounts(text))


def without_amounts(text: str) -> str:
    """A text without its numbers and their units; one that is a part of a name stays.

    Example:
        >>> without_amounts("RFC7519 costs $1,000 now")
        'RFC7519 costs   now'
    """
    return _AMOUNT.sub(lambda match: match[0] if _in_name(match) else " ", text)


def _in_name(match: re.Match[str]) -> bool:
    start = match.start()
    return start > 0 and match.string[start - 1].isalpha()


def agree(claim: str, text: str) -> bool:
    """Whether a text has every number of a claim, with its sign, and in no other unit."""
    claimed = amounts(claim)
    # Most sentences have none, and a passage is long.
    if not claimed:
        return True
    present: dict[str, set[str | None]] = {}
    for value, unit in amounts(text):
        present.setdefault(value, set()).add(unit)
    in_percent = any("%" in units for units in present.values()) or "%" in text
    for value, unit in claimed:
        units = present.get(value, set())
        # A table has its unit in its head.
        bare = None in units and (unit != "%" or in_percent)
        # "20 degrees" leaves the scale open.
        scale = unit == "\u00b0" and units & {"\u00b0c", "\u00b0f"}
        if not (unit in units or bare or scale or (unit is None and units - {"%"})):
            return False
    return True


def _amounts(text: str) -> Iterator[Amount]:
    for match in _AMOUNT.finditer(text):
        if _DECADE.fullmatch(match[0]):
            yield Amount(match[0].casefold(), None)
            continue
        number = "".join(str(int(one)) if one.isdigit() else one for one in match["number"])
        before = (match["before"] or "").strip()
        unit = _UNITS.get((match["unit"] or "").replace(" ", "").casefold())
        if unit is None and before:
            unit = _UNITS.get(before.rstrip("- ").casefold())
        scale = (match["scale"] or match["short"] or "").casefold()
        value = _value(number, exact=unit is None and not scale)
        if scale:
            value = _plain(Decimal(value).scaleb(_SCALES[scale])) if _is_decimal(value) else value
        negative = match["sign"] or before.endswith("-")
        yield Amount(f"-{value}" if negative and value.strip("0.") else value, unit)


def _value(number: str, *, exact: bool) -> str:
    """A number in one spelling; ``exact`` keeps the zeros behind its point, as of a version."""
    number = re.sub("[ \u00a0\u2009\u202f'\u2019]", "", number)
    point, comma = number.rfind("."), number.rfind(",")
    if _LAKH.fullmatch(number):
        number = number.replace(",", "")
    elif point >= 0 and comma >= 0:
        # The last mark is the one before the fraction.
        grouping, last = (",", ".") if point > comma else (".", ",")
        number = number.replace(grouping, "").replace(last, ".")
    else:
        number = number.replace(",", ".")
        number = number.replace(".", "") if _GROUPED.fullmatch(number) else number
    if not _is_decimal(number) or "." not in number:
        return number
    return number if exact and number.split(".")[1].strip("0") else _plain(Decimal(number))


def _is_decimal(number: str) -> bool:
    return number.count(".") <= 1 and number.replace(".", "").isdigit()


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
