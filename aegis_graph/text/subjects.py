"""Whether a claim says of one name what a text says of another one."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from itertools import pairwise

from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.words import STOP_WORDS, closeness, detect_language, folded

_JOINING = frozenset((",", ";", "and", "as", "like", "so", "or"))
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\S")


def is_said_of_another(claim: str, text: str) -> bool:
    """Whether a claim names one that the text has, and the text says it of another alone.

    Of names that stand directly before what is said of them, in English: German writes every noun
    with a capital.

    Example:
        >>> is_said_of_another("Wim abstained.", "Only Joris abstained. Wim signs it.")
        True
        >>> is_said_of_another("Wim abstained.", "At last Joris abstained, and Wim as well.")
        False
    """
    said_words = _WORD.findall(claim)
    claimed = [pair for pair in _pairs(said_words) if pair[0] in text]
    # Asked before the text is split, which takes longer.
    if not claimed or "de" in (detect_language(claim), detect_language(text)):
        return False
    sentences = [_WORD.findall(one.text) for one in split_sentences(text)]
    # Any word begins a sentence in capitals: "All answers are in German."
    names = {word for one in (said_words, *sentences) for word in one[1:]}
    return any(_is_of_another(name, said, sentences, names) for name, said in claimed)


def _is_of_another(
    name: str, said: str, sentences: Sequence[Sequence[str]], names: Set[str]
) -> bool:
    if not any(name in sentence for sentence in sentences):
        return False
    others = {
        other
        for sentence in sentences
        for other, what in _pairs(sentence)
        if other in names and other != name and closeness(folded(what), folded(said))
    }
    return (
        bool(others)
        and not any(_is_one(name, other, sentences) for other in others)
        and not any(_is_of(name, said, others, sentence) for sentence in sentences)
    )


def _pairs(sentence: Sequence[str]) -> list[tuple[str, str]]:
    """Each name with the word behind it that says something, over at most one small word."""
    found = []
    for place, name in enumerate(sentence[:-1]):
        behind = [one for one in sentence[place + 1 : place + 3] if folded(one) not in STOP_WORDS]
        if _is_name(name) and behind and behind[0].islower():
            found.append((name, behind[0]))
    return found


def _is_name(word: str) -> bool:
    return word[0].isupper() and folded(word) not in STOP_WORDS


def _is_one(name: str, other: str, sentences: Sequence[Sequence[str]]) -> bool:
    """Whether two names are parts of one, as "Ada" and "Berg" are of "Ada Berg"."""
    pairs = {(name, other), (other, name)}
    return any(pairs & set(pairwise(sentence)) for sentence in sentences)


def _is_of(name: str, said: str, others: Set[str], sentence: Sequence[str]) -> bool:
    """Whether a sentence may say it of the name: it does not where another one does it to it."""
    said_at = [n for n, word in enumerate(sentence) if closeness(folded(word), folded(said))]
    if name not in sentence or not said_at:
        return False
    if sentence.index(name) < said_at[-1] or "by" in sentence:
        return True
    # "Joris abstained, as did Wim": what is joined by a word is no object.
    between = sentence[said_at[-1] : sentence.index(name)]
    of_another = any(other in others for other, _ in _pairs(sentence))
    return not of_another or bool(_JOINING & set(between))
