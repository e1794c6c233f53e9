"""Sets the numbers of an answer right by rule, and tells an answer that nothing bears out.

A small model cites the wrong passage, or none, for a sentence that is right. Both cost no call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from aegis_graph.components.answer_generator.citations import (
    CheckedAnswer,
    CitedSentence,
    cite,
)
from aegis_graph.components.answer_generator.shown_passages import is_small
from aegis_graph.text.amounts import agree, amounts
from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.code import code_spans, is_inside
from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.support import best_evidence, is_negative, judge, relevance, shared_words
from aegis_graph.text.words import STOP_WORDS, max_closeness, topic_words, words

CLEARLY = 0.15
"""Share of a sentence's words that another passage must have above the one that it cites, where
neither bears it out."""

HALF = 0.5
"""Share that one must have at least of a sentence that cites none."""

MADE_UP = 2
"""Words of the question that no passage has, and the answer repeats: one alone may be another word
for what is there."""

RELATED = 1 / 3
"""Share of what a sentence adds to the question that the passages must have: a model rewords most
of what it read, but not all of it."""

_COUNTED = re.compile(
    r"\b(?:how (?:many|much)|wie ?viele?)\s+(?P<thing>(?!euros?\b|dollars?\b|percent|prozent)\w+)",
    re.IGNORECASE,
)
"""What is counted. Passages that do not name it have no number of it; money has other names."""
_YES_OR_NO = frozenset(words("yes no ja nein"))
_SAYS = re.compile(
    r"^(?:(?:according to|in) )?(?:the |passage |passages |\[?\d+\]? )+"
    r"(?:states?|says?|mentions?)(?: that)? |^(?:laut|nach|in) (?:der )?textstelle(?: \d+)? ",
    re.IGNORECASE,
)
"""How answers speak of a passage before they say what it says."""
_POINTS = re.compile(
    r"(?<=[.!?])\s+(?:this|that|it|the answer|das|dies|die antwort)(?: information)?"
    r" (?:is|was|can be|comes|ist|wird|steht|findet sich)\b[^.\[\]\n]{0,30}?"
    r"\b(?:in|from|by|aus|von)(?: the| der| dem)?"
    r"(?: (?:passages?|sources?|documents?|textstellen?|quellen?|dokument\w*))?"
    r"\s*(?P<mark>\[\d[\d, ]*\])\.?",
    re.IGNORECASE,
)
"""A sentence that says only where the one before it is from."""
_LED = re.compile(r"(?P<mark>\[\d{1,3}\])\s+(?P<said>[^\[\]]+)")
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


def check_answer(
    question: str,
    draft: str,
    passages: Sequence[Passage],
    *,
    model: str,
    ignore: Sequence[str] = (),
) -> CheckedAnswer | None:
    """Check a model's answer, with the right numbers.

    Args:
        question: What was asked.
        draft: What the model wrote.
        passages: What it was given, in the order of their numbers.
        model: Its name.
        ignore: Sentences that claim nothing.

    Returns:
        ``None`` for an answer of a small model that no passage bears out: it makes up what is not
        there. A larger one says what is there in words of its own, which no rule can tell from
        that.
    """
    draft = _POINTS.sub(r" \g<mark>", draft)
    checked = cite(_as_sentence(draft, len(passages)), passages, ignore=ignore)
    answer = attribute(question, checked, passages, ignore=ignore)
    if is_small(model) and not is_borne_out(question, answer, passages):
        return None
    return answer


def attribute(
    question: str, answer: CheckedAnswer, passages: Sequence[Passage], *, ignore: Sequence[str] = ()
) -> CheckedAnswer:
    """Give each sentence the passage that bears it out, where those that it cites do not.

    What no passage bears out keeps its verdict, and the model's number, unless another passage has
    clearly more of its words.

    Args:
        question: Tells which passage is meant, where several have the sentence's words.
        answer: As its citations were checked.
        passages: What the model was given, in the order of their numbers.
        ignore: Sentences that claim nothing.

    Example:
        >>> passages = [Passage(source="a", text="It is red."), Passage(source="b", text="5 m.")]
        >>> attribute("How long is it?", cite("It is 5 m. [1]", passages), passages).text
        'It is 5 m. [2]'
    """
    text, code = answer.text, code_spans(answer.text)
    added: list[str] = []
    # From the end, so that the places before stay right.
    for sentence in reversed(answer.sentences):
        if is_inside(sentence["start"], code):
            continue
        bare = _bare(sentence, len(passages))
        own = {answer.citations[place]["n"] for place in sentence["citations"]}
        better = None if sentence["supported"] else _better(question, bare, own, passages)
        if better is not None:
            added.append(bare)
            text = f"{text[: sentence['start']]}{bare} [{better}]{text[sentence['end'] :]}"
    if text == answer.text:
        return answer
    checked = cite(text, passages, ignore=ignore)
    _mark(checked, added, len(passages))
    return CheckedAnswer(checked.text, checked.citations, checked.sentences, answer.removed)


def _mark(checked: CheckedAnswer, added: Sequence[str], count: int) -> None:
    """Say which sentences and citations are there by a rule alone."""
    for one in checked.sentences:
        if _bare(one, count) in added:
            one["added"] = True
    given = {at for one in checked.sentences if "added" not in one for at in one["citations"]}
    for at, citation in enumerate(checked.citations):
        if at not in given:
            citation["added"] = True


def is_borne_out(question: str, answer: CheckedAnswer, passages: Sequence[Passage]) -> bool:
    """Whether any sentence could come from the passages; of a yes or a no, rules cannot tell."""
    claims = [claim for one in answer.sentences if words(claim := _bare(one, len(passages)))]
    if len(claims) == 1 and set(words(claims[0])) <= _YES_OR_NO:
        return True
    there = {word for one in passages for word in words(_whole(one))}
    # What is asked, and the passages do not speak of: an answer that says it makes it up.
    missing = [word for word in topic_words(question) if not max_closeness(word, there)]
    if (counted := _COUNTED.search(question)) and set(words(counted["thing"])) & set(missing):
        return False
    known = "\n".join([question, *map(_whole, passages)])
    return any(
        sum(1 for word in missing if max_closeness(word, words(claim))) < MADE_UP
        and agree(claim, known)
        and _share(_without(set(words(question)), claim), there) >= RELATED
        for claim in claims
    )


def _share(claim: str, there: Set[str]) -> float:
    """Share of a claim's words that the passages have; 1 where numbers are all that is left."""
    said = [word for word in topic_words(claim) if word.isalpha()]
    return sum(1 for word in said if max_closeness(word, there)) / len(said) if said else 1.0


def _as_sentence(draft: str, count: int) -> str:
    """An answer of one line as a sentence that ends, with the number that it begins with behind it.

    A line of a few words would read as a heading, which claims nothing.
    """
    line = draft.strip()
    if "\n" in line:
        return draft
    if led := _LED.fullmatch(line):
        line = f"{led['said']} {led['mark']}"
    said = replace_citations(line, lambda mark, numbers: "", count=count).rstrip()
    return f"{line}." if said[-1:].isalnum() else line


def _better(question: str, claim: str, own: Set[int], passages: Sequence[Passage]) -> int | None:
    """The passage that a sentence should cite in place of its own, if any."""
    said = _SAYS.sub("", claim)
    shares = {
        n: shared_words(said, _whole(one)) if agree(said, one.text) else 0.0
        for n, one in enumerate(passages, start=1)
    }
    closest = max(shares, key=lambda n: shares[n], default=0)
    others = [shares[n] for n in shares if n != closest]
    # Without a number of its own, the amounts that it names have to say where a sentence is from.
    beside = max((shares[n] for n in own), default=max([HALF, *others]))
    if (own or amounts(said)) and shares.get(closest, 0.0) - beside > CLEARLY:
        return closest
    bearing = _bearing(question, claim, passages)
    # The model's own number stays where its passage is one of them.
    return bearing[0] if bearing and not own & set(bearing) else None


def _bearing(question: str, claim: str, passages: Sequence[Passage]) -> list[int]:
    """The numbers of the passages that bear a claim out; what speaks of the question first."""
    said = _without(_given(question, passages), _SAYS.sub("", claim))
    # A claim without words would be borne out by anything.
    if not words(said):
        return []
    bearing = [
        n
        for n, one in enumerate(passages, start=1)
        if best_evidence(said, one.text).verdict == "supported" or _in_a_row(said, one.text)
    ]
    # Among equals the order of the passages stays.
    return sorted(bearing, key=lambda n: -relevance(question, _whole(passages[n - 1])))


def _in_a_row(claim: str, text: str) -> bool:
    """Whether a table's row bears a claim out, with what its head says."""
    rows = [one for one in split_sentences(text) if one.table_head]
    return any(judge(claim, f"{one.table_head}\n{one.text}") == "supported" for one in rows)


def _given(question: str, passages: Sequence[Passage]) -> set[str]:
    """Words of the question that the documents have: an answer repeats them.

    The name of a thing stands in a document's title, and not in each of its passages.
    """
    there = {word for one in passages for word in words(_whole(one))}
    return {word for word in words(question) if max_closeness(word, there)}


def _without(given: Set[str], claim: str) -> str:
    """A claim without words that are given or carry no topic, and with what says no."""

    def rest(word: re.Match[str]) -> str:
        parts = words(word[0])
        known = all(part in STOP_WORDS or max_closeness(part, given) for part in parts)
        return "" if known and not is_negative(word[0]) else word[0]

    return _WORD.sub(rest, claim)


def _whole(passage: Passage) -> str:
    return f"{passage.source}\n{passage.heading}\n{passage.text}"


def _bare(sentence: CitedSentence, count: int) -> str:
    return replace_citations(sentence["text"], lambda mark, numbers: "", count=count).strip()
