"""Keeps of a model's extraction what the text bears out, and counts the rest by reason."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import cast

from aegis_graph.components.relation_extractor.parsing import (
    ParsedExtraction,
    RawEntity,
    RawRelation,
)
from aegis_graph.components.relation_extractor.records import (
    Findings,
    FoundEntity,
    FoundRelation,
    KnownEntity,
)
from aegis_graph.components.relation_extractor.schema import RelationSchema, key
from aegis_graph.text.denial import is_denied
from aegis_graph.text.mentions import Stretch, find_mentions, find_quote
from aegis_graph.text.negation import says_no
from aegis_graph.text.passive import is_done_by
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.words import words

_ARTICLES = frozenset(words("the a an der die das ein eine des dem den le la les el los"))
_PRONOUNS = frozenset(
    words(
        "i you he she it we they me him her us them his its their our who which this that these"
        " those ich du er sie es wir ihr mich dich ihn uns euch ihm ihnen sein seine ihre unser wer"
        " welche dieser diese dieses jener jene jenes"
    )
)
# Plus and hash stay, because C++, C# and C are three.
_PUNCTUATION = re.compile(r"[^\w+#]+")


@lru_cache(maxsize=4096)
def normalised(name: str) -> str:
    """A name as two writings of it share it.

    Example:
        >>> normalised("The U.S. Army's"), normalised("us army")
        ('us army', 'us army')
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    plain = re.sub(r"['\u2019]s?(?!\w)", "", plain).replace(".", "")
    parts = _PUNCTUATION.sub(" ", plain).split()
    # A name that is an article alone stays.
    if len(parts) > 1 and parts[0] in _ARTICLES:
        parts = parts[1:]
    return " ".join(parts) or plain.strip()


def ground(
    readings: Sequence[ParsedExtraction],
    text: str,
    schema: RelationSchema,
    known: Sequence[KnownEntity] = (),
) -> Findings:
    """What the text bears out of a chunk's answers.

    Args:
        readings: The answers in the order in which they came.
        text: The chunk.
        schema: What may be found.
        known: Where there are some, they are the only entities.
    """
    return _Grounding(text, schema, bool(known)).collect(readings, known)


class _Grounding:
    """Collects the findings of one chunk."""

    def __init__(self, text: str, schema: RelationSchema, known_only: bool) -> None:
        self._text = text
        self._schema = schema
        self._given_only = known_only
        self._entities: list[FoundEntity] = []
        self._unwritten: dict[str, list[int]] = defaultdict(list)
        """Entities by what a model calls them, and the text does not."""
        self._relations: dict[tuple[int, str, int, Stretch], FoundRelation] = {}
        self._dropped: Counter[str] = Counter()

    def collect(
        self, readings: Sequence[ParsedExtraction], known: Sequence[KnownEntity]
    ) -> Findings:
        for one in known:
            # One that this chunk does not name is no fault of the model.
            self._place(one["name"], one.get("type", ""), one.get("aliases", []))
        for reading in readings:
            self._dropped["malformed"] += reading.malformed
            for entity in [] if self._given_only else reading.entities:
                self._entity(entity)
        for reading in readings:
            # After the entities of every answer: a gleaning may name what the first answer relates.
            for relation in reading.relations:
                self._relation(relation)
        dropped = {reason: count for reason, count in sorted(self._dropped.items()) if count}
        return Findings(
            entities=self._entities, relations=list(self._relations.values()), dropped=dropped
        )

    def _entity(self, raw: RawEntity) -> None:
        label = self._schema.entity_type(raw.type)
        if label is None:
            self._dropped["entity_off_schema"] += 1
        elif not self._place(raw.name, label, raw.aliases):
            self._dropped["entity_ungrounded"] += 1

    def _place(self, name: str, label: str, aliases: Sequence[str]) -> bool:
        """Keep an entity where the text names it; whether it does."""
        names = [one for one in (name, *aliases) if _is_name(one)]
        stretches = {one: find_mentions(one, self._text) for one in names}
        written = [one for one in names if stretches[one]]
        if not written:
            return False
        places = sorted({place for one in written for place in stretches[one]})
        at = self._same(written[0], label)
        for one in names:
            if one not in written:
                self._unwritten[normalised(one)].append(at)
        if at == len(self._entities):
            self._entities.append(
                # The first name that the text has: the model's own may be in no place of it.
                FoundEntity(name=written[0], type=label, aliases=written[1:], stretches=places)
            )
            return True
        same = self._entities[at]
        others = [one for one in written if one not in (same["name"], *same["aliases"])]
        same["aliases"] = [*same["aliases"], *others]
        same["stretches"] = sorted({*same["stretches"], *places})
        return True

    def _same(self, name: str, label: str) -> int:
        """The place of the entity with a name and a type, which is the next one if it is new."""
        wanted = normalised(name)
        for at, entity in enumerate(self._entities):
            if normalised(entity["name"]) == wanted and key(entity["type"]) == key(label):
                return at
        return len(self._entities)

    def _relation(self, raw: RawRelation) -> None:
        heads, tails = self._named(raw.head), self._named(raw.tail)
        if not heads or not tails:
            self._dropped["relation_unknown_entity"] += 1
            return
        if heads == tails and len(heads) == 1:
            self._dropped["relation_to_itself"] += 1
            return
        # Small models put first what a sentence in the passive names first; types tell them apart.
        allowed = self._allowed(heads, raw.relation, tails) or self._allowed(
            tails, raw.relation, heads
        )
        if allowed is None:
            self._dropped["relation_off_schema"] += 1
            return
        head, label, tail = self._in_voice(*allowed)
        stretches = self._evidence(raw, head, tail)
        stated = [one for one in stretches if not self._is_denied(one, label, head, tail)]
        if not stated:
            self._dropped["relation_negated" if stretches else "relation_ungrounded"] += 1
            return
        stretch = stated[0]
        place = (head, label, tail, stretch)
        self._relations.setdefault(
            place, FoundRelation(head=head, relation=label, tail=tail, stretch=stretch)
        )

    def _named(self, name: str) -> list[int]:
        """The entities that a name may mean: by its own name first, else by another of theirs."""
        wanted = normalised(name)
        own = [at for at, one in enumerate(self._entities) if normalised(one["name"]) == wanted]
        by_alias = [
            at for at, one in enumerate(self._entities) if wanted in map(normalised, one["aliases"])
        ]
        return own or by_alias or self._unwritten.get(wanted, [])

    def _allowed(
        self, heads: Sequence[int], label: str, tails: Sequence[int]
    ) -> tuple[int, str, int] | None:
        for head in heads:
            for tail in tails:
                # Two entities may share a name; the schema tells which of them can be meant.
                types = self._entities[head]["type"], self._entities[tail]["type"]
                relation = self._schema.relation(types[0], label, types[1])
                if relation is not None and head != tail:
                    return head, relation, tail
        return None

    def _in_voice(self, head: int, label: str, tail: int) -> tuple[int, str, int]:
        """A relation, turned round where the text says it in the passive."""
        turned = self._allowed([tail], label, [head])
        verb = label.replace("_", " ")
        if turned is None or "by" in verb.casefold().split():
            return head, label, tail
        for begin, end in self._sentences:
            ends = self._ends_in((begin, end), head, tail)
            if is_done_by(self._text[begin:end], verb, *ends):
                return turned
        return head, label, tail

    def _evidence(self, raw: RawRelation, head: int, tail: int) -> list[Stretch]:
        """The quotation's place, and the sentences that name both.

        Small models quote in words of their own what the sentence says.
        """
        quoted = find_quote(raw.quote, self._text) if raw.quote else None
        named = [one for one in self._sentences if all(self._ends_in(one, head, tail))]
        return named if quoted is None else [quoted, *named]

    def _is_denied(self, stretch: Stretch, label: str, head: int, tail: int) -> bool:
        """Whether the sentence of the evidence says that the relation does not hold."""
        # "has_never_met" is a relation of its own.
        if says_no(label.replace("_", " "), "en"):
            return False
        around = [one for one in self._sentences if one[0] < stretch[1] and stretch[0] < one[1]]
        both = [one for one in around if all(self._ends_in(one, head, tail))]
        # In one sentence alone a pronoun may stand for an end; of several it may be any.
        judged = both or (around if len(around) == 1 else [])
        return any(
            is_denied(self._text[begin:end], *self._ends_in((begin, end), head, tail))
            for begin, end in judged
        )

    def _ends_in(self, sentence: Stretch, *ends: int) -> list[list[Stretch]]:
        """Where a sentence names each of some entities, counted from its begin."""
        begin = sentence[0]
        return [
            [
                (a - begin, b - begin)
                for a, b in self._entities[end]["stretches"]
                if _within((a, b), sentence)
            ]
            for end in ends
        ]

    @cached_property
    def _sentences(self) -> list[Stretch]:
        sentences = split_sentences(self._text)
        return [(one.start, one.start + len(one.text)) for one in sentences]


def _within(inner: Sequence[int], outer: Stretch) -> bool:
    begin, end = cast("Stretch", inner)
    return outer[0] <= begin and end <= outer[1]


def _is_name(text: str) -> bool:
    """A pronoun names nothing, and as an alias it would join strangers; WHO and IT are names."""
    word = text.strip()
    shouted = word.isupper() and len(word) > 1
    return bool(word) and (shouted or word.casefold() not in _PRONOUNS | _ARTICLES)
