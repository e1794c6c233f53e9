"""Which passages a prompt shows, and how much of each: what the model's context leaves.

Pure: what a model's context and size are is read from the chain that was built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from aegis_graph.chat.profile import chain_profile
from aegis_graph.components.answer_generator.wording import whole_text
from aegis_graph.providers.base import Provider
from aegis_graph.request.token_bounds import text_bound
from aegis_graph.routing.policy import may_receive
from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.support import rank_by_support
from aegis_graph.text.words import detect_language, max_closeness, topic_words, words
from aegis_graph.types import DEFAULT_SENSITIVITY

BYTES_PER_TOKEN = 3
"""At least so many bytes of English, German or Chinese text are one token; see the kind ``ollama``,
which reckons with the same."""

SMALL = 4.0
"""Billion weights up to which a model counts as small."""

MOST_FOR_SMALL = 4
"""Passages for a small model. Of this repository's 60 questions 98 % have all their places among
the best four by words, as among the best eight; each further one is only there to be mistaken for
the answer (``benchmarks/README.md``)."""

BEST = 2
"""Passages that a small model is shown whatever they say; a further one has to have a word of the
question that those before it lack."""

LEAST_PIECE = 600
"""Bytes that a passage gets at least; where there is less for each, there are fewer."""

FROM_BOTH_ENDS = 5
"""Passages from which on the second best stands last: what is in the middle of many is overlooked.

Source: Liu et al., "Lost in the Middle", https://arxiv.org/abs/2307.03172
"""

_BILLIONS = re.compile(r"(?<![a-z\d.])(\d+(?:\.\d+)?)b(?![a-z\d])", re.IGNORECASE)


class Room(NamedTuple):
    """What a model can be shown."""

    size: int | None = None
    """Bytes of the whole prompt; ``None`` where no length of a context is known."""
    most: int | None = None
    """Passages, which is said of a small model only; ``None`` for as many as there are."""

    @property
    def is_small(self) -> bool:
        """Whether the model that is asked first is a small one."""
        return self.most is not None


class ShownPassage(NamedTuple):
    """A passage as the prompt shows it, by the number that the caller knows it by."""

    n: int
    passage: Passage


def room_of(chain: Sequence[Provider], options: Mapping[str, Any]) -> Room:
    """What every model can be shown that may be asked: each of them may be the one that answers.

    Args:
        chain: The providers, in order.
        options: The request's common ones, such as a level of privacy, which leaves some out.
    """
    level = options.get("sensitivity") or DEFAULT_SENSITIVITY
    asked = [one for one in chain if may_receive(one.spec, level)]
    profile = chain_profile(asked, options.get("max_output_tokens"))
    if profile is None:
        return Room()
    tokens = profile.get("max_input_tokens")
    # The first is asked first, and mostly answers.
    small = is_small(next(iter(asked)).spec.model)
    size = None if tokens is None else tokens * BYTES_PER_TOKEN
    return Room(size, MOST_FOR_SMALL if small else None)


def is_small(model: str) -> bool:
    """Whether a model's name says that it is a small one; one that says nothing is not.

    Example:
        >>> is_small("llama3.2:3b"), is_small("qwen3:30b-a3b"), is_small("gpt-5-mini")
        (True, False, False)
    """
    sizes = [float(found) for found in _BILLIONS.findall(model)]
    return bool(sizes) and max(sizes) <= SMALL


def shown_passages(
    question: str, passages: Sequence[Passage], room: Room, *, beside: Iterable[str] = ()
) -> list[ShownPassage]:
    """Choose the passages of a prompt, the best ones first and last, none cut inside a sentence.

    Args:
        question: What is asked: of a passage that is too long, what speaks of it stays.
        passages: All that there are, best first, as a retriever gives them.
        room: What the model can be shown.
        beside: What else the prompt holds.
    """
    kept = [ShownPassage(n, one) for n, one in enumerate(passages, start=1)][: room.most]
    if room.is_small:
        kept = _telling(question, kept)
    if room.size is not None:
        rest = max(0, room.size - sum(map(text_bound, (question, *beside))))
        kept = _cut(question, kept, rest)
    if len(kept) < FROM_BOTH_ENDS:
        return kept
    first, second, *others = kept
    return [first, *others, second]


def _telling(question: str, kept: Sequence[ShownPassage]) -> list[ShownPassage]:
    """The best, and those of the others that speak of something in the question that is new."""
    asked, told = set(topic_words(question)), set[str]()
    spoken, chosen = detect_language(question), list[ShownPassage]()
    for one in kept:
        present = set(words(whole_text(one.passage)))
        has = {word for word in asked if max_closeness(word, present)}
        # Between two languages words cannot tell.
        is_foreign = {spoken, detect_language(one.passage.text)} == {"en", "de"}
        if len(chosen) < BEST or is_foreign or has - told:
            chosen.append(one)
        told |= has
    return chosen


def _cut(question: str, kept: Sequence[ShownPassage], size: int) -> list[ShownPassage]:
    sizes = [text_bound(_framed(one.passage)) for one in kept]
    if sum(sizes) <= size:
        return list(kept)
    kept = kept[: max(1, size // LEAST_PIECE)]
    shares = _shares(sizes[: len(kept)], size)
    return [
        one._replace(passage=_piece(question, one.passage, share)) if share < full else one
        for one, full, share in zip(kept, sizes, shares, strict=False)
    ]


def _shares(sizes: Sequence[int], size: int) -> list[int]:
    """What each gets: all of it where that is little, and the same of what is left for the rest."""
    shares = dict.fromkeys(range(len(sizes)), 0)
    for done, place in enumerate(sorted(shares, key=lambda one: sizes[one])):
        shares[place] = min(sizes[place], (size - sum(shares.values())) // (len(sizes) - done))
    return list(shares.values())


def _framed(passage: Passage) -> str:
    """Near enough to what the prompt has of it: its header, and its text."""
    return f"[00] (source: {passage.location})\n{passage.text}\n"


def _piece(question: str, passage: Passage, size: int) -> Passage:
    """The sentences around the one that speaks of the question most, as many as fit."""
    sentences = split_sentences(passage.text)
    if not sentences:
        return passage
    starts = [one.start for one in sentences]
    # What is between two sentences, such as a line's end, goes with the one before.
    stretches = list(pairwise([*starts, len(passage.text)]))
    sizes = [text_bound(passage.text[start:end]) for start, end in stretches]
    best = rank_by_support(question, [one.text for one in sentences])[0]
    first, last = best, best
    left = size - sizes[best] - text_bound(_framed(replace(passage, text="")))
    sides = [1, -1]
    while sides:
        for side in list(sides):
            place = last + 1 if side > 0 else first - 1
            if not 0 <= place < len(sizes) or sizes[place] > left:
                sides.remove(side)
                continue
            left -= sizes[place]
            first, last = min(first, place), max(last, place)
    start, end = stretches[first][0], stretches[last][1]
    return replace(passage, text=passage.text[start:end].rstrip(), start=passage.start + start)
