"""Words as an index has them: English and German stems, and the ends of compounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aegis_graph.text.words import LANGUAGES, Language, language_of, topic_words

_NAMES = {"en": "english", "de": "german"}
_MIN_COMPOUND = 8
"""Letters of a word that may be a compound, at least."""
_MIN_PART = 5
"""Letters of a part of a compound, at least: shorter ones are endings of many words."""
_MIN_CUT = 3
"""Letters before a part of a compound, at least: fewer are a prefix, as in `bestellen`."""
_MAX_LETTERS = 100
"""Letters of a word, at most; what is longer is looked up as its beginning."""
_MAX_KEPT = 100_000
"""Stems that are kept, so that a word is stemmed once and not each time it stands somewhere."""


class Stemmer:
    """Makes stems of words. It is for one thread.

    Example:
        >>> Stemmer().stems("The limits of budgets", "en")
        ['limit', 'budget']
    """

    def __init__(self) -> None:
        import snowballstemmer  # type: ignore[import-untyped]  # noqa: PLC0415 - thirty languages

        self._by_language: dict[Language, Any] = {
            language: snowballstemmer.stemmer(_NAMES[language]) for language in LANGUAGES
        }
        self._kept: dict[tuple[Language, str], str] = {}

    def stems(self, text: str, language: Language) -> list[str]:
        """The stems of the words that say what a text is about, in order."""
        return [self._stem(word[:_MAX_LETTERS], language) for word in topic_words(text)]

    def query(self, question: str) -> str:
        """What an index is searched by; empty where a question has no word that is looked up.

        A word is looked up by its stem in either language, because neither the question's nor the
        passage's language is certain. In German a part also finds the compounds that end with it
        (``Budget``, ``Monatsbudget``), and the other way around.
        """
        is_german = language_of(question) == "de"
        # A word that the question repeats counts once.
        terms: dict[str, None] = {}
        for word in topic_words(question):
            stems = [self._stem(word[:_MAX_LETTERS], language) for language in LANGUAGES]
            terms |= dict.fromkeys(f'stems : "{stem}"' for stem in stems)
            if word.isalpha() and len(stems[-1]) >= _MIN_PART:
                terms[f'endings : "{stems[-1][::-1]}" *'] = None
                if is_german:
                    terms |= dict.fromkeys(f'stems : "{part}"' for part in _parts(stems[-1]))
        return " OR ".join(terms)

    def _stem(self, word: str, language: Language) -> str:
        # Numbers have no forms.
        if not word.isalpha():
            return word
        if len(self._kept) > _MAX_KEPT:
            self._kept.clear()
        stem = self._kept.get((language, word))
        if stem is None:
            stem = self._by_language[language].stemWord(word)
            self._kept[language, word] = stem
        return stem


def endings(stems: list[str]) -> str:
    """The stems that may be compounds, read backwards: what ends with a word begins with it then.

    Example:
        >>> endings(["monatsbudget", "limit"])
        'tegdubstanom'
    """
    compounds = dict.fromkeys(one for one in stems if len(one) >= _MIN_COMPOUND and one.isalpha())
    return " ".join(one[::-1] for one in compounds)


def _parts(stem: str) -> Iterator[str]:
    for cut in range(_MIN_CUT, len(stem) - _MIN_PART + 1):
        yield stem[cut:]
