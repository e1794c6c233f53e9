"""Sets the numbers of an answer right by rule, and tells an answer that nothing bears out.

A small model cites the wrong passage, or none, for a sentence that is right. Both cost no call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace

from aegis_graph.components.answer_generator.citations import CheckedAnswer, cite
from aegis_graph.components.answer_generator.groundedness import is_borne_out
from aegis_graph.components.answer_generator.shown_passages import is_small
from aegis_graph.components.answer_generator.wording import (
    bare_claim,
    whole_text,
    without_known,
    without_source,
)
from aegis_graph.components.answer_generator.yes_or_no import (
    agrees,
    begins_with_yes_or_no,
    speaking_sentences,
)
from aegis_graph.text.amounts import agree, amounts
from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.code import code_spans, is_inside
from aegis_graph.text.passages import Passage
from aegis_graph.text.question_parts import parts_of
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.support import (
    is_supported,
    judge,
    relevance,
    shared_words,
)
from aegis_graph.text.words import STOP_WORDS, max_closeness, words

CLEARLY = 0.15
"""Share of a sentence's words that another passage must have above the one that it cites, where
neither bears it out."""

HALF = 0.5
"""Share that one must have at least of a sentence that cites none."""

SOON_CHECKED = 200_000
"""Characters of a draft times those of its passages that are compared in some 5 ms. So long, a
thread would keep the interpreter to itself as well (``sys.getswitchinterval``)."""

_WORDS = re.compile(r"[^\W_]+")
_POINTS = re.compile(
    r"(?<=[.!?])\s+(?:this|that|it|the answer|das|dies|die antwort)(?: information)?"
    r" (?:is|was|can be|comes|ist|wird|steht|findet sich)\b[^.\[\]\n]{0,30}?"
    r"\b(?:in|from|by|aus|von)(?: the| der| dem)?"
    r"(?: (?:passages?|sources?|documents?|textstellen?|quellen?|dokument\w*))?"
    r"\s*(?P<mark>\[\d[\d, ]*\])\.?",
    re.IGNORECASE,
)
"""A sentence that says only where the one before it is from."""
_PARTS = re.compile(
    r"[,;]?\s+(?:and|und)\s+|[,;]\s+(?:but|while|whereas|aber|w\u00e4hrend)\s+", re.IGNORECASE
)
"""What parts a sentence that joins what two passages say."""
_LED = re.compile(r"(?P<mark>\[\d{1,3}\])\s+(?P<said>[^\[\]]+)")


def is_soon_checked(draft: str, texts: Sequence[str]) -> bool:
    """Whether to check a draft against texts takes no time to speak of."""
    return len(draft) * sum(map(len, texts)) <= SOON_CHECKED


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
        there. Its yes or no that the passages say the opposite of gives way to their sentence, and
        of its answers to the parts of a question those go that none bears out. A larger one says
        what is there in words of its own, which no rule can tell from that.
    """
    draft = _POINTS.sub(r" \g<mark>", draft)
    checked = cite(_as_sentence(draft, len(passages)), passages, ignore=ignore)
    answer = attribute(question, checked, passages, ignore=ignore)
    if not is_small(model):
        return answer
    if (denial := _denial(question, answer, passages)) is not None:
        return denial
    parts = parts_of(question)
    if len(parts) == len(answer.sentences) > 1:
        return _borne_out_parts(parts, answer, passages)
    return answer if is_borne_out(question, answer, passages) else None


def _borne_out_parts(
    parts: Sequence[str], answer: CheckedAnswer, passages: Sequence[Passage]
) -> CheckedAnswer | None:
    """The sentences that passages bear out, each one the answer to a part of the question."""
    kept = [
        sentence
        for part, sentence in zip(parts, answer.sentences, strict=True)
        if is_borne_out(part, replace(answer, sentences=[sentence]), passages)
    ]
    if not kept:
        return None
    if len(kept) == len(parts):
        return answer
    cited = cite(" ".join(one["text"] for one in kept), passages)
    added = [bare_claim(one, len(passages)) for one in kept if "added" in one]
    _mark(cited, added, len(passages))
    return replace(cited, removed=answer.removed, is_whole=False)


def _denial(
    question: str, answer: CheckedAnswer, passages: Sequence[Passage]
) -> CheckedAnswer | None:
    """What the passages say in place of a yes or a no that they say the opposite of."""
    if len(answer.sentences) != 1:
        return None
    claim = bare_claim(answer.sentences[0], len(passages))
    speaking = speaking_sentences(question, passages) if begins_with_yes_or_no(claim) else []
    if not speaking or any(agrees(claim, one) for one in speaking):
        return None
    quoted = cite(f"{speaking[0].text} [{speaking[0].n}]", passages)
    _mark(quoted, [bare_claim(one, len(passages)) for one in quoted.sentences], len(passages))
    return quoted


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
    text = answer.text
    unsupported = [one for one in answer.sentences if not one["supported"]]
    code = code_spans(text) if unsupported else []
    added: list[str] = []
    # From the end, so that the places before stay right.
    for sentence in reversed(unsupported):
        # A sentence may begin with a name in code; what is all code has no numbers.
        if is_inside(sentence["start"], code) and is_inside(sentence["end"] - 1, code):
            continue
        bare = bare_claim(sentence, len(passages))
        own = {answer.citations[place]["n"] for place in sentence["citations"]}
        if better := _better(question, bare, own, passages):
            added.append(bare)
            numbers = ", ".join(map(str, better))
            text = f"{text[: sentence['start']]}{bare} [{numbers}]{text[sentence['end'] :]}"
    if text == answer.text:
        return answer
    checked = cite(text, passages, ignore=ignore)
    _mark(checked, added, len(passages))
    return CheckedAnswer(checked.text, checked.citations, checked.sentences, answer.removed)


def _mark(checked: CheckedAnswer, added: Sequence[str], count: int) -> None:
    """Say which sentences and citations are there by a rule alone."""
    for one in checked.sentences:
        if bare_claim(one, count) in added:
            one["added"] = True
    given = {at for one in checked.sentences if "added" not in one for at in one["citations"]}
    for at, citation in enumerate(checked.citations):
        if at not in given:
            citation["added"] = True


def _as_sentence(draft: str, count: int) -> str:
    """An answer of one line as a sentence that ends, with the number that it begins with behind it.

    A line of a few words would read as a heading, which claims nothing.
    """
    line = draft.strip()
    if "\n" in line:
        return draft
    if led := _LED.fullmatch(line):
        line = f"{led['said']} {led['mark']}"
    # Citations are looked for only where the last mark may be one.
    if line.endswith("."):
        return line
    said = replace_citations(line, lambda mark, numbers: "", count=count).rstrip()
    return f"{line}." if said[-1:].isalnum() else line


def _better(question: str, claim: str, own: Set[int], passages: Sequence[Passage]) -> list[int]:
    """The passages that a sentence should cite in place of its own, if any."""
    said = without_source(claim)
    shares = {
        n: shared_words(said, whole_text(one)) if agree(said, one.text) else 0.0
        for n, one in enumerate(passages, start=1)
    }
    closest = max(shares, key=lambda n: shares[n], default=0)
    others = [shares[n] for n in shares if n != closest]
    # Without a number of its own, the amounts that it names have to say where a sentence is from.
    beside = max((shares[n] for n in own), default=max([HALF, *others]))
    if (own or amounts(said)) and shares.get(closest, 0.0) - beside > CLEARLY:
        return [closest]
    bearing = _bearing(question, claim, passages)
    # The model's own number stays where its passage is one of them.
    if bearing:
        return [] if own & set(bearing) else bearing[:1]
    parts = _PARTS.split(claim)
    each = [_better(question, part, set(), passages) for part in parts] if len(parts) > 1 else []
    numbers = sorted({n for found in each for n in found})
    return [] if set(numbers) <= own else numbers


def _bearing(question: str, claim: str, passages: Sequence[Passage]) -> list[int]:
    """The numbers of the passages that bear a claim out; what speaks of the question first."""
    said = without_known(_given(question, passages), without_source(claim))
    # A claim without words would be borne out by anything.
    bearing = [
        n
        for n, one in enumerate(passages, start=1)
        if words(said)
        and (
            is_supported(said, one.text) or _in_a_row(said, one.text) or _is_name_in(said, one.text)
        )
    ]
    if not bearing and begins_with_yes_or_no(claim):
        return [one.n for one in speaking_sentences(question, passages) if agrees(claim, one)]
    # Among equals the order of the passages stays.
    return sorted(bearing, key=lambda n: -relevance(question, whole_text(passages[n - 1])))


def _in_a_row(claim: str, text: str) -> bool:
    """Whether a table's row bears a claim out, with what its head says."""
    rows = [one for one in split_sentences(text) if one.table_head]
    return any(judge(claim, f"{one.table_head}\n{one.text}") == "supported" for one in rows)


def _is_name_in(said: str, text: str) -> bool:
    """Whether all that a claim adds is a name that a text has: names say neither yes nor no."""
    name, run = (
        [one for one in _WORDS.findall(written) if one.casefold() not in STOP_WORDS]
        for written in (said, text)
    )
    return (
        len(name) > 1
        and all(one[0].isupper() for one in name)
        and any(run[at : at + len(name)] == name for at in range(len(run)))
    )


def _given(question: str, passages: Sequence[Passage]) -> set[str]:
    """Words of the question that the documents have: an answer repeats them.

    The name of a thing stands in a document's title, and not in each of its passages.
    """
    there = {word for one in passages for word in words(whole_text(one))}
    return {word for word in words(question) if max_closeness(word, there)}
