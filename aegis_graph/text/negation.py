"""Whether a text says no, in the languages whose words for it are known here.

They are found by their small words, or by their script. What is in another language cannot be
judged, and callers say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aegis_graph.text.words import detect_language, words

_WORDS: Mapping[str, str] = {
    "en": r"no(?!\.?\s*\d)|not(?!\s+(?:only|just|merely)\b)|never|none|nobody|nothing|nowhere"
    r"|neither|nor|without|cannot|\w+n['\u2019\u02bc]t|(?:do|does|did|is|are|was|wo|ca|should)nt"
    r"|den(?:y|ies|ied)|refus(?:e|es|ed)|fails? to|failed to|unable|false|untrue|incorrect|wrong"
    r"|hardly|unlikely|rarely|seldom|barely|scarcely|except|unless|far from|anything but"
    r"|(?:stop|ceas|avoid|quit)(?:e?s|p?ed)?\s+\w+ing|lack(?:s|ed|ing)?",
    "de": r"nicht(?!\s+nur\b)|nie|niemals|niemand\w*|nichts|nirgends|kein\w*|weder|ohne"
    r"|falsch|unwahr|kaum|verweiger\w*|bestreite\w*|au\u00dfer|ausgenommen|mitnichten"
    r"|keineswegs|selten|es sei denn",
    "fr": r"ne(?!\s+\w+\s+que\b)|n['\u2019]\w+|pas|jamais|aucune?s?|rien|sans|ni|personne|faux",
    "es": r"no|nunca|jam\u00e1s|ning\u00fan|ninguna?|nadie|nada|sin|ni|tampoco|falso",
    "it": r"non|mai|nessun\w*|niente|nulla|senza|n\u00e9|neanche|neppure|falso",
    "pt": r"n\u00e3o|nunca|jamais|nenhuma?|ningu\u00e9m|nada|sem|nem|falso",
    "nl": r"niet|nooit|geen|niemand|niets|zonder|noch|onjuist",
}
_NO = {name: re.compile(rf"\b(?:{listed})\b", re.IGNORECASE) for name, listed in _WORDS.items()}
_NO["zh"] = re.compile(
    "\u4e0d(?![\u540c\u65ad\u4ec5\u50c5\u4f46\u8fc7\u904e])|\u6ca1|\u6c92|\u65e0(?!\u7ebf)"
    "|\u7121(?!\u7dda)|\u672a(?!\u6765)|\u52ff|\u975e(?!\u5e38)|\u522b(?!\u7684)"
)
_NO["ja"] = re.compile(
    "\u306a\u3044|\u306a\u304b\u3063|\u307e\u305b\u3093|\u305a\u306b|\u4e0d\u53ef|\u7981\u6b62"
)
_ENGLISH_OR_GERMAN = re.compile(f"{_NO['en'].pattern}|{_NO['de'].pattern}", re.IGNORECASE)

_SMALL: Mapping[str, frozenset[str]] = {
    name: frozenset(words(listed))
    for name, listed in {
        "en": "the a an of to in is are was on for and that with it this be by as at from or"
        " i you we they he she can will not has have must",
        "de": "der die das ein eine und ist sind von zu im den dem des mit auf f\u00fcr wird"
        " werden nicht es sich am um bei nach",
        "fr": "le la les un une des du de et est sont dans pour sur que qui avec au aux par",
        "es": "el la los las un una de del es son en para por que con se al su",
        "it": "il lo la gli le un una di del della e \u00e8 sono in per che con si al nel",
        "pt": "o a os as um uma de do da dos das e \u00e9 s\u00e3o em para por que com se ao",
        "nl": "de het een van en is zijn op voor met dat te in aan bij wordt",
    }.items()
}
_FOREIGN_LETTER = re.compile("[^\\W\\d_a-zA-Z\u00c0-\u00ff\u0152\u0153]")
_CJK = re.compile("[\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")
_ANY = "any"
_NO[_ANY] = re.compile(
    rf"\b(?:{'|'.join(_WORDS.values())}|inte|ikke|ikkje|ej|ei|eiv\u00e4t|tidak|bukan|nem|nu)\b",
    re.IGNORECASE,
)
_MANY_WORDS = 16
"""So many words without any small one that is known are in a language that is not."""


def judged_language(text: str) -> str | None:
    """The language whose words for no count in a text; ``None`` where they are not known.

    A short text without small words may be in any of them.

    Example:
        >>> judged_language("Ollama is free."), judged_language("\u0421\u043f\u0438\u0442.")
        ('en', None)
    """
    letters = sum(map(str.isalpha, text))
    if 2 * len(_CJK.findall(text)) + 2 * len(_KANA.findall(text)) > letters:
        return "ja" if _KANA.search(text) else "zh"
    if 3 * len(_FOREIGN_LETTER.findall(text)) > letters:
        return None
    spoken = words(text)
    counts = {name: sum(map(small.__contains__, spoken)) for name, small in _SMALL.items()}
    best = max(counts, key=counts.__getitem__)
    if counts[best] == 0:
        if found := detect_language(text):
            return found
        known = len(spoken) < _MANY_WORDS and not _FOREIGN_LETTER.search(text)
        return _ANY if known else None
    # A letter that none of them has, as in Polish or Turkish, weighs more than a chance word.
    return None if _FOREIGN_LETTER.search(text) and counts[best] < 2 else best


def says_no(text: str, language: str) -> bool:
    """Whether a text in a language of ``judged_language`` has a word for no."""
    return no_words(language).search(text) is not None


def no_words(language: str) -> re.Pattern[str]:
    """The words for no; English and German are often mixed in one text."""
    return _ENGLISH_OR_GERMAN if language in ("en", "de") else _NO[language]
