"""What kind of thing answers a question: a person, a date, a duration, a sum, a number, a place."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Literal

from aegis_graph.text.quoting.markup import plain
from aegis_graph.text.words import STOP_WORDS, max_closeness, words

Expected = Literal[
    "person", "date", "time", "duration", "frequency", "money", "number", "place", "reason",
    "steps", "consequence", "definition", "yes_no", "anything",
]  # fmt: skip
"""``date`` is a day; ``time`` may also be a condition, such as "after the first call"."""

STRICT: frozenset[Expected] = frozenset(
    ("person", "date", "time", "duration", "frequency", "money", "number")
)
"""Kinds without which a sentence is no answer, whatever words it shares with the question."""

_KINDS: tuple[tuple[Expected, str], ...] = (
    ("person", r"^(?:\w+ ){0,2}(?:who|whom|whose)\b|^(?:\w+ ){0,1}(?:wer|wem|wen|wessen)\b"),
    (
        "date",
        r"^(?:when|since when) (?:was|were|did)\b|^(?:seit )?wann (?:wurde|war|ist|fand)\b"
        r"|\b(?:what|which) (?:date|day|year|month)\b"
        r"|\bwelche[mnrs]? (?:datum|tag|jahr|monat)\b",
    ),
    ("time", r"^(?:\w+ )?when\b|^(?:\w+ )?wann\b|\bwhat time\b|\bwie viel uhr\b"),
    ("frequency", r"\bhow (?:often|frequently)\b|\bwie (?:oft|häufig)\b|\bhow many times\b"),
    (
        "duration",
        r"\bhow (?:long|soon|quickly|fast)\b|\bwie (?:lange|schnell)\b"
        r"|\b(?:what|which|how) .*\b(?:notice period|deadline|retention period)\b"
        r"|\bwelche .*frist\b|\bwie .*(?:frist|dauer)\b",
    ),
    (
        "money",
        r"\bhow much .*\b(?:costs?|price|pay|charged?|fees?)\b|\bhow (?:expensive|much is)\b"
        r"|\b(?:what|which) .*\b(?:costs?|prices?|fees?)\b"
        r"|\bwas (?:kostet|kosten)\b|\bwie ?viel .*(?:kostet|kosten|bezahl|zahl)|\bwie teuer\b"
        r"|\b(?:preis|gebühr)\w*\b",
    ),
    (
        "number",
        r"\bhow (?:many|much|high|large|big|far|deep|tall|wide|heavy|hot|cold|old|loud)\b"
        r"|\bwie ?viele?[rn]?\b|\bwie (?:hoch|groß|weit|tief|breit|schwer|warm|heiß|alt|laut)\b"
        r"|\b(?:ports?|port number|version number|percentage|phone number)\b(?=\W*$| (?:does|do|is"
        r"|are|must|should|has|of|for|on|by|to|used?)\b)"
        r"|\b(?:what|which) (?:\w+ )?(?:port|version|percentage|percent|number)\b"
        r"|\b(?:telefonnummer|prozentsatz)\b"
        r"|^what (?:is|are) the (?:maximum|minimum|largest|smallest|highest|lowest|longest"
        r"|shortest)\b"
        r"|\b(?:maximale?[nrs]?|minimale?[nrs]?|größte[nrs]?|kleinste[nrs]?|höchste[nrs]?) \w+"
        r"|\bwelche[nmrs]? (?:port|version|nummer|prozentsatz|anteil)\b",
    ),
    ("place", r"^(?:\w+ )?where\b|^(?:wo|wohin|woher)\b"),
    ("reason", r"^why\b|^(?:warum|wieso|weshalb)\b"),
    (
        "steps",
        r"^how (?:do|can|to|should|must|would|could)\b"
        r"|^wie (?:kann|muss|soll|geht|lässt|\w+ (?:ich|man|wir)\b)",
    ),
    ("consequence", r"^what (?:happens|will happen)\b|^was (?:passiert|geschieht)\b"),
    (
        "definition",
        r"^what(?: is|'s| are| does)\b|^was (?:ist|sind|bedeutet|heißt|macht)\b|^define\b",
    ),
    (
        "yes_no",
        r"^(?:is|are|was|were|do|does|did|can|could|may|must|will|should|has|have|am)\b"
        r"|^(?:ist|sind|war|kann|können|darf|dürfen|muss|müssen|wird|werden|hat|haben|gibt"
        r"|gilt|sollte)\b",
    ),
)
_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS)

_NUMBER_WORDS = (
    "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty"
    " sixty hundred thousand million once twice half dozen zero zwei drei vier fünf"
    " sechs sieben acht neun zehn elf zwölf zwanzig dreißig vierzig fünfzig sechzig hundert"
    " tausend einmal zweimal dreimal halbe[snr]?"
).replace(" ", "|")
_NUMBER = (
    rf"(?:(?<![\w#/.-])[-\u2212+~≈<>≤≥]?\d+(?:[.,:]\d+)*(?![\w/]*/\w)|\b(?:{_NUMBER_WORDS})\b)"
)
_NO_NUMBER = r"\b(?:none|no (?:more|limit)|unlimited|unbegrenzt|unbeschränkt|keine?)\b"
_UNIT = (
    r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?"
    r"|(?:working |business |calendar )?days?|weeks?|months?|quarters?|years?|decades?"
    r"|sekunden?|minuten?|stunden?|(?:werk|arbeits|kalender)?tage?n?|wochen?|monate?n?"
    r"|quartale?n?|jahre?n?)"
)
_LENGTH = r"(?:mm|cm|km|metres?|meters?|inch(?:es)?|feet|miles?|metern?)"
_DURATION = (
    rf"{_NUMBER}[\s-]*(?:{_UNIT}|{_LENGTH})\b"
    r"|\b(?:until|bis zu[mr]?|as long as|solange|for ever|forever"
    r"|indefinitely|unlimited|unbefristet|immediately|sofort|unverzüglich|permanently|dauerhaft"
    r"|lifetime|an? (?:second|minute|hour|day|week|month|year)"
    r"|eine[rnm]?s? (?:sekunde|minute|stunde|tag|woche|monat|jahr)\w*)\b"
)
_MONTHS = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?"
    r"|juli|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DAYS = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|(?:mon|diens|donners|frei|sams|sonn)tags?"
    r"|mittwochs?|midnight|noon|mitternacht|mittags?"
)
_DATE = (
    rf"\b(?:1[5-9]|20)\d\d\b|\b(?:in|since|until|im|jahr|seit|bis|year) \d{{3,4}}(?=[.,;:)]|$)"
    rf"|\b\d{{1,2}}\.\s?(?:\d{{1,2}}\.|{_MONTHS})|\b{_MONTHS}\.? \d{{1,2}}\b"
    rf"|\b\d{{1,2}} {_MONTHS}\b|\b(?:{_DAYS})\b|\b\d{{1,2}}[:.]\d\d\b|\b\d{{1,2}} ?(?:am|pm|uhr)\b"
    rf"|\b(?:in|since|until|im|seit|bis|ab) {_MONTHS}\b|\bq[1-4]\b"
)
_FREQUENCY = (
    r"\b(?:once|twice|times|daily|hourly|weekly|monthly|yearly|annually|quarterly|nightly|every"
    r"|each|never|always|per (?:second|minute|hour|day|week|month|quarter|year)|a (?:day|week|month"
    r"|year)|einmal|zweimal|dreimal|mal|täglich|stündlich|wöchentlich|monatlich|jährlich"
    r"|vierteljährlich|halbjährlich|jede[nrs]?|pro (?:stunde|tag|woche|monat|jahr)|alle|nie)\b"
)
_CONDITION = (
    r"\b(?:before|after|until|once|when|whenever|if|as soon as|within|during|while|by the end"
    r"|at the (?:end|beginning|start)|immediately|as long as|unless|wenn|sobald|falls|nach|vor|bis"
    r"|während|innerhalb|ab|spätestens|sofort|zum (?:ende|beginn|monatsende|jahresende))\b"
)
_MONEY = (
    r"[$€£¥]\s?\d|\d\s?[$€£¥]|\b(?:USD|EUR|CHF|GBP|CNY|JPY|euros?|dollars?|cents?|francs?|franken"
    r"|pounds?|yuan)\b|\b(?:free(?: of charge)?|kostenlos|kostenfrei|gratis|unentgeltlich"
    r"|no (?:extra )?(?:charge|cost|fee)|included in the price|inbegriffen)\b"
)
_ROLE = (
    r"\b(?:\w*(?:manager|director|officer|administrator|admin|owner|author|creator|maintainer"
    r"|founder|engineer|developer|editor|president|secretary|treasurer|teacher|doctor|supervisor"
    r"|operator|customer|user|employee|tenant|landlord|buyer|seller|supplier|board|team|committee"
    r"|department|staff|counsel|technician|electrician|head of|chair\w*|lead|leader|moderator"
    r"|leiter(?:in)?|leitung|geschäftsführ\w+|vorstand|vorsitzende[rn]?|abteilung|beauftragte[rn]?"
    r"|verantwortliche[rn]?|mieter(?:in)?|vermieter(?:in)?|kund(?:e|en|in)|nutzer(?:in)?|benutzer"
    r"|mitarbeiter(?:in(?:nen)?)?|hausmeister(?:in)?|fachkraft|techniker(?:in)?|elektriker(?:in)?"
    r"|betreiber(?:in)?|inhaber(?:in)?|autor(?:in)?|käufer(?:in)?|verkäufer(?:in)?"
    r"|auftraggeber|auftragnehmer)s?)\b"
)
_NAME = r"[A-ZÄÖÜ][a-zäöüßéèáóñ'\u2019-]+"
_FULL_NAME = re.compile(
    rf"(?<![.!?:] )(?<!^)\b{_NAME} (?:[A-Z]\. )?{_NAME}\b|\b(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau)\b\.? \w"
    rf"|^\W*{_NAME} {_NAME} [a-zäöü]"
    rf"|\b[Bb]y (?:the )?{_NAME}|@\w+|\b(?:von|durch) {_NAME} {_NAME}"
)
_PLACE = re.compile(
    r"(?<![\w~.-])[\w~.-]+/[\w./-]+|\\\w+|https?:|\b(?:in|at|on|under|from|to|into|inside|below|above|near|via"
    r"|behind|next to|im|am|auf|unter|bei|an|aus|nach|zum|zur|neben|hinter|über)\b",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|so that|therefore|due to|in order to|to avoid|to prevent|reason|otherwise"
    r"|thus|hence|weil|damit|denn|um zu|grund|daher|deshalb|sonst|wegen|dadurch)\b",
    re.IGNORECASE,
)
_CONSEQUENCE = re.compile(
    r"\b(?:if|when|whenever|unless|once|then|raises?|fails?|ends|results? in|leads to|wenn|falls"
    r"|sobald|dann|endet|führt zu|schlägt fehl)\b",
    re.IGNORECASE,
)


def _either(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_NEEDED: dict[Expected, re.Pattern[str]] = {
    "date": _either(_DATE),
    "time": _either(_DATE, _DURATION, _FREQUENCY, _CONDITION),
    "duration": _either(_NUMBER, _DURATION),
    "frequency": _either(_FREQUENCY, _NUMBER),
    "money": _either(_NUMBER, _MONEY),
    "number": _either(_NUMBER, _NO_NUMBER),
}
_PREFERRED: dict[Expected, re.Pattern[str]] = {
    "duration": _either(_DURATION),
    "frequency": _either(_FREQUENCY),
    "money": _either(_MONEY),
    "time": _either(_DATE, _DURATION),
    "place": _PLACE,
    "consequence": _CONSEQUENCE,
    "reason": _REASON,
    "number": _either(_NUMBER),
}
_MEASURE = re.compile(
    rf"{_NUMBER}[\s-]*(?:{_UNIT}|{_LENGTH}|%|percent|prozent|[$€£¥]|USD|EUR|CHF|GBP|euros?|dollars?"
    r"|[kmg]i?b|bytes?|kg|°C)(?!\w)|[$€£¥]\s?\d[\d.,]*",
    re.IGNORECASE,
)
"""A number with its unit."""
_NOISE = re.compile(r"\(#\d+\)|#\d+|\[\d+\]|<(?:int|float|str|bool|path)>|^\s*\d{1,3}[.)]\s")


def expected_of(question: str) -> Expected:
    """What a question expects for an answer.

    Example:
        >>> expected_of("What is the default port?"), expected_of("Wie lange dauert es?")
        ('number', 'duration')
    """
    asked = question.strip().strip("\"'“„¿¡ ")
    return next((kind for kind, one in _PATTERNS if one.search(asked)), "anything")


def answers(
    expected: Expected,
    text: str,
    *,
    question: str = "",
    counted: Sequence[str] = (),
    common: Set[str] = frozenset(),
) -> bool:
    """Whether a text has what a question expects; always, for kinds that any text may have.

    Args:
        expected: The kind.
        text: What is to be quoted.
        question: Numbers that it has itself answer nothing.
        counted: The words of what is to be counted: 14 days are no number of invoices.
        common: What the documents speak of all the time, such as a product: no person's name.
    """
    said = _NOISE.sub(" ", plain(text))
    if expected == "person":
        return _has_name(said, common) or bool(re.search(_ROLE, said, re.IGNORECASE))
    pattern = _NEEDED.get(expected)
    if pattern is None:
        return True
    if counted:
        said = _MEASURE.sub(lambda one: one[0] if _counts(one[0], counted) else " ", said)
    known = set(re.findall(r"\d+(?:[.,:]\d+)*", question))
    return any(found[0].strip() not in known for found in pattern.finditer(said))


def _has_name(text: str, common: Set[str]) -> bool:
    # A sentence's first word has a capital as well, and so has every German noun.
    found = (re.search(_NAME, one[0]) or one for one in _FULL_NAME.finditer(text))
    return any(not (STOP_WORDS | common) & set(words(one[0])) for one in found)


def _counts(measure: str, counted: Sequence[str]) -> bool:
    return any(max_closeness(one, counted) for one in words(measure))


def prefers(expected: Expected, text: str) -> bool:
    """Whether a text has the better form of what is expected, such as a number with its unit."""
    pattern = _PREFERRED.get(expected)
    return pattern is not None and bool(pattern.search(plain(text)))
