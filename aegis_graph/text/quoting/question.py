"""What a question asks: its words, the names that an answer must have, the kind of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aegis_graph.text.quoting.expected import Expected, expected_of
from aegis_graph.text.words import STOP_WORDS, Language, detect_language, topic_words, words

MOST_WORDS = 40
"""Words of a question that are looked at, so that a pasted page does not hold up the loop."""

_LITERAL = re.compile(
    r"`([^`]+)`|(?<!\S)(--?[a-z][\w-]*|\w*[^\W\d_]_\w+|\w+(?:\.\w+)*\(\)|[\w-]*\d[\w-]*(?:\.\d+)+"
    r"|[A-Za-z]+[-/]?\d[\w.-]*|[A-Z]{2,}[A-Z\d_]*_\w+|\.\w+|[a-z]+\.[a-z]{2,4})(?=[\s?!,;:)]|\.\s|\.?$)"
)
NAME = re.compile(r"(?<!^)(?<![.!?:\"'\u201c\u201e] )\b[A-Z][\w-]*\w\b")
"""A word with a capital inside an English sentence."""
_GERMAN_NAME = re.compile(r"(?:\b[A-ZÄÖÜ][\w-]+ ){1,3}[A-ZÄÖÜ][\w-]+\b")
"""Several nouns in a row, which German has in names only."""
_NUMBERED = re.compile(
    r"\b(version|article|section|chapter|step|stage|clause|appendix|level|tier|phase|artikel|abschnitt"
    r"|kapitel|stufe|absatz|ziffer|schritt|anlage|fassung)\s+(\d+)\b(?!\.\d)",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\b(?:how many|wie ?viele[rn]?)\s+((?:[\w-]+\s+){0,2}[\w-]+)", re.IGNORECASE)
_OTHER_SMALL_WORDS = frozenset(
    words(
        "le les des une est quel quelle quels quelles combien où qui comment pourquoi quand du dans"
        " el los las cuál cuánto cuántos cuándo dónde quién cómo qué por para una del il gli quale"
        " quanto quanti quando dove chi perché della qual quanto onde como não het een hoe wat waar"
        " waarom wanneer welke jak jest ile gdzie kto hur vad när vem är hvad hvor"
    )
)
_LETTER = re.compile(r"[^\W\d_]")
_ABOUT_RELEASES = re.compile(
    r"\b(?:versions?|releases?d?|new|changed?|changes|added|fixed|introduced|since|deprecated"
    r"|removed|changelog|neue?[snr]?|geändert|änderung\w*|hinzu\w+|behoben|eingeführt|seit"
    r"|veröffentlicht|entfernt|release-notes)\b|\bv?\d+\.\d+",
    re.IGNORECASE,
)
_RELEASE_WORDS = frozenset(words("version versions release released veröffentlicht"))
_LIST = re.compile(
    r"^(?:which|what) (?:\w+ ){0,3}?\w+s\b|^(?:which|what) are\b|^(?:list|name)\b"
    r"|^welche (?:\w+ ){0,3}?\w+|^was sind\b|\bwas gehört\b",
    re.IGNORECASE,
)
_QUALIFIERS: tuple[tuple[str, str], ...] = (
    (
        "default defaults standard standardmäßig standardwert voreingestellt vorgabe",
        "unless otherwise standardkonfiguration standardeinstellung initially",
    ),
    (
        "maximum max maximal maximale maximalen maximaler höchstens longest largest biggest",
        "most limit limits limited up larger exceed over than bis höchstgrenze obergrenze cap",
    ),
    (
        "minimum min minimal minimale minimalen minimaler mindestens smallest shortest",
        "least requires required from ab mindest",
    ),
)
"""Words that ask for the default, the most or the least, and further ones that tell it."""
_ASKS = tuple(frozenset(words(asked)) for asked, _ in _QUALIFIERS)
QUALIFIED_BY = tuple(frozenset(words(f"{asked} {told}")) for asked, told in _QUALIFIERS)
"""By group, the words of which an answer has one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, read."""

    text: str
    words: tuple[str, ...]
    """What it is about, in its order, each word once."""
    expected: Expected
    literals: tuple[str, ...]
    """Options, versions, names of variables: an answer has them letter for letter."""
    numbered: tuple[re.Pattern[str], ...]
    """What it names by a number, such as version 2."""
    names: tuple[str, ...]
    """Words with a capital inside an English question, folded; several in a row in German."""
    counted: tuple[str, ...]
    """What is to be counted; the last of these words, or one before it, says that."""
    qualifiers: tuple[int, ...]
    """Which of the groups of ``QUALIFIED_BY`` it asks for: a default, the most, the least."""
    about_releases: bool
    wants_list: bool
    language: Language | None


def read_question(text: str, *, language: Language | None = None) -> Question:
    """Read a question.

    Args:
        text: The question, or a part of it.
        language: Of the whole question, where this is a part.

    Example:
        >>> question = read_question("How long is `--timeout` in Uvicorn?")
        >>> question.expected, question.literals, question.names
        ('duration', ('--timeout',), ('uvicorn',))
    """
    # Without a set: its order differs between processes, and the cap must keep the same words.
    asked = tuple(dict.fromkeys(topic_words(text)))[:MOST_WORDS]
    about_releases = bool(_ABOUT_RELEASES.search(text))
    if about_releases:
        # A heading such as "1.2.0 (March 1)" does not say that it is a version's.
        asked = tuple(one for one in asked if one not in _RELEASE_WORDS) or asked
    language = language or detect_language(text)
    literals = tuple(dict.fromkeys(a or b for a, b in _LITERAL.findall(text[:2000])))
    names = _names(text[:2000], german=language == "de")
    spoken = set(words(text))
    return Question(
        text=text,
        words=asked,
        expected=expected_of(text),
        literals=literals,
        numbered=tuple(
            re.compile(rf"\b(?:{noun}\s+|v){number}\b", re.IGNORECASE)
            for noun, number in _NUMBERED.findall(text[:2000])
        ),
        names=names,
        counted=_counted(text, asked),
        qualifiers=tuple(at for at, group in enumerate(_ASKS) if group & spoken),
        about_releases=about_releases,
        wants_list=bool(_LIST.search(text)),
        language=language,
    )


def is_in_another_language(text: str) -> bool:
    """Whether a question is plainly in another language than English and German.

    Example:
        >>> is_in_another_language("Quel est le port par défaut ?"), is_in_another_language("port?")
        (True, False)
    """
    letters = _LETTER.findall(text[:2000])
    latin = sum(1 for one in letters if one < "\u0250")
    spoken = set(words(text[:2000]))
    other = len(_OTHER_SMALL_WORDS & spoken)
    return 2 * latin < len(letters) or (other >= 2 and other > len(STOP_WORDS & spoken))


def _counted(text: str, asked: Sequence[str]) -> tuple[str, ...]:
    found = _COUNTED.search(text)
    return tuple(one for one in words(found[1]) if one in asked) if found else ()


def _names(text: str, *, german: bool) -> tuple[str, ...]:
    found: Sequence[str] = (_GERMAN_NAME if german else NAME).findall(text)
    folded = (part for name in found for part in words(name))
    return tuple(dict.fromkeys(one for one in folded if one not in STOP_WORDS and len(one) > 1))
