"""Whether an answer to a question of our own is right, wrong or a refusal, and what it cites."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from scoring.figures import Scores
from scoring.own_data import OwnQuestion
from scoring.questions import CITATION

_EUROS = re.compile(r"€|\beuros?\b")
_PERCENT = re.compile(r"%|\bper ?cent\b|\bprozent\b")
_THOUSANDS = re.compile(r"(?<=\d)[.,](?=\d{3}(?!\d))")
_ZEROS = re.compile(r"(\d)\.0+(?!\d)|(\d\.\d*?[1-9])0+(?!\d)")
_WORDS = re.compile(r"\d+(?:\.\d+)*|[^\W\d]\w*")
_REFUSALS = re.compile(
    r"\b(do|does|did|is|are|was|were|has|have)(n't| not)\b[^.!?]{0,40}\b(answer|contain|mention|"
    r"provide|specif|say|state|include|give|disclose|list|available|found|indicate)\w*"
    r"|\b(cannot|can't|could not|couldn't|unable to|not possible to)\b[^.!?]{0,20}\b(answer|"
    r"determin|find|tell|say)\w*"
    r"|\bno (specific |further |direct )?(information|mention|answer|data|details?)\b"
    r"|\bnot (explicitly |directly )?(answered|mentioned|specified|provided|stated|given|"
    r"available|included|listed)\b"
    r"|\bnone of (?:the|these) (?:passages|documents|sources)\b"
    r"|\bkeine der (?:textstellen|dokumente|quellen)\b"
    r"|\b(beantwort\w*|enth\w*lt\w*|nenn\w*|erwähn\w*|geb\w*|gibt|steh\w*|geh\w*|find\w*|mach\w*)\b"
    r"[^.!?]{0,60}\b(nicht|kein\w*)\b"
    r"|\bnicht\b[^.!?]{0,30}\b(angegeben|erwähnt|enthalten|genannt|beantwort\w*|hervor|spezifiziert"
    r"|bekannt)\b"
    r"|\bkeine (angaben?|informationen?|antwort|auskunft)\b",
    re.IGNORECASE,
)
"""How models say that there is no answer. By words, so an odd phrase counts as a wrong answer."""


def score_answer(question: OwnQuestion, said: Mapping[str, Any]) -> Scores:
    """Score one answer.

    Args:
        question: What was asked.
        said: ``answer``; ``cited``, the numbers of the passages that it cites; and ``holds``, for
            each passage that was shown, the gold ones that stand in it, by number.
    """
    known, text = question.answerable, said["answer"]
    strict, simple = is_right(question, text), is_right(question, text, simple=True)
    refused = is_refusal(text) and not simple
    judged, held = float(known), said["holds"]
    cited = [held[number - 1] for number in said["cited"] if 0 < number <= len(held)]
    found = {gold for golds in held for gold in golds}
    named = {gold for golds in cited for gold in golds}
    return {
        "right, strict": (strict * judged, judged),
        "right, simple": (simple * judged, judged),
        "wrong": ((not simple and not refused) * judged, judged),
        "refused": (refused * judged, judged),
        "unanswerable refused": (refused * (1 - judged), 1 - judged),
        "citation precision": (sum(map(bool, cited)) * judged, len(cited) * judged),
        "citation recall": (len(named), len(question.passages)),
        "gold passages shown": (len(found), len(question.passages)),
    }


def is_right(question: OwnQuestion, answer: str, *, simple: bool = False) -> bool:
    """Whether all that has to be said is said.

    Strictly: in one of the spellings, word by word, and nothing wrong beside it. Simply: all words
    of a spelling, in any order.
    """
    if not question.answerable:
        return False
    # "No information" is not the answer "no".
    text = plain(_REFUSALS.sub(" ", CITATION.sub(" ", answer)))
    said = [any(_says(text, form) for form in forms) for forms in question.answers]
    if all(said) and not any(_says(text, one) for one in question.wrong):
        return True
    bag = set(map(_stem, text.split()))
    return simple and all(
        has or any(_is_within(form, bag) for form in forms)
        for has, forms in zip(said, question.answers, strict=True)
    )


def is_refusal(answer: str) -> bool:
    """Whether an answer says that there is none."""
    return _REFUSALS.search(answer) is not None


def plain(text: str) -> str:
    """Words and numbers only, numbers and units in one spelling.

    Example:
        >>> plain("It is €1,120.50 (**14-Day** rate: 8 %)."), plain("1.120,5 Euro")
        ('it is 1120.5 eur 14 day rate 8 percent', '1120.5 eur')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _PERCENT.sub(" percent ", _EUROS.sub(" eur ", text))
    text = re.sub(r"(?<=\d),(?=\d)", ".", _THOUSANDS.sub("", text))
    text = _ZEROS.sub(lambda match: match[1] or match[2], text)
    text = re.sub(r"(?<=\d)(?=[^\W\d_])", " ", text)
    return re.sub(r"\beur (\d[\d.]*)(?! eur)", r"\1 eur", " ".join(_WORDS.findall(text)))


def _says(text: str, form: str) -> bool:
    if form.startswith("re:"):
        return re.search(form.removeprefix("re:"), text) is not None
    return f" {plain(form)} " in f" {text} "


def _is_within(form: str, bag: set[str]) -> bool:
    return not form.startswith("re:") and set(map(_stem, plain(form).split())) <= bag


def _stem(word: str) -> str:
    return re.sub(r"(?:e?s|e?n|e)$", "", word) if len(word) > 3 and word.isalpha() else word


def gold_within(question: OwnQuestion, passages: Sequence[tuple[str, str]]) -> list[list[int]]:
    """For each passage (source and text) the gold ones that stand in it, by number."""
    return [
        [
            number
            for number, gold in enumerate(question.passages)
            if source.endswith(gold.document) and gold.is_in(text)
        ]
        for source, text in passages
    ]
