"""Joins the findings of all chunks: one entity per thing, one relation per statement."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aegis_graph.components.relation_extractor.grounding import normalised
from aegis_graph.components.relation_extractor.records import (
    Chunk,
    Entity,
    Findings,
    FoundEntity,
    Place,
    Relation,
    Span,
)
from aegis_graph.components.relation_extractor.schema import key
from aegis_graph.text.mentions import Stretch

EntityKey = tuple[str, str]
"""A type's key and a normalised name."""


@dataclass(slots=True)
class _Merged:
    names: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    aliases: list[str] = field(default_factory=list)
    mentions: list[Span] = field(default_factory=list)


def merge(found: Iterable[tuple[Chunk, Findings]]) -> tuple[list[Entity], list[Relation]]:
    """Join the findings of chunks. The same findings give the same result in any order.

    Entities are the same where type and normalised name are, where the one's name is an alias of
    the other and of no third, and where one has no type and only one of that name has. An alias
    that two share joins none.
    """
    # Into the order of the texts, because chunks end in any order and the result must not show it.
    pairs = sorted(found, key=lambda pair: pair[0]["places"][0]["start"])
    pairs.sort(key=lambda pair: pair[0]["places"][0]["document"])
    leaders = _leaders([one for _, findings in pairs for one in findings["entities"]])
    merged: dict[EntityKey, _Merged] = defaultdict(_Merged)
    for chunk, findings in pairs:
        for entity in findings["entities"]:
            group = merged[leaders[_thing(entity)]]
            group.names[entity["name"]] += len(entity["stretches"])
            group.types[entity["type"]] += 1
            group.aliases += entity["aliases"]
            group.mentions += _spans(chunk, entity["stretches"])
    entities = {thing: _entity(group) for thing, group in merged.items()}
    ordered = sorted(entities, key=lambda thing: (_first(entities[thing]), thing))
    for number, thing in enumerate(ordered, start=1):
        entities[thing]["id"] = f"e{number}"
    ends = {thing: entities[leader] for thing, leader in leaders.items()}
    return [entities[thing] for thing in ordered], _relations(pairs, ends)


def _thing(entity: FoundEntity) -> EntityKey:
    return key(entity["type"]), normalised(entity["name"])


def _leaders(entities: Sequence[FoundEntity]) -> dict[EntityKey, EntityKey]:
    """Each thing, and the one that it is the same as."""
    things = dict.fromkeys(map(_thing, entities))
    known_as: dict[EntityKey, set[EntityKey]] = defaultdict(set)
    for entity in entities:
        for alias in entity["aliases"]:
            known_as[key(entity["type"]), normalised(alias)].add(_thing(entity))
    typed: dict[str, set[EntityKey]] = defaultdict(set)
    for thing in things:
        if thing[0]:
            typed[thing[1]].add(thing)
    parents = {thing: thing for thing in things}
    for thing in things:
        # An entity without a type is the same as the only typed one of its name.
        owners = known_as[thing] - {thing} or ({} if thing[0] else typed[thing[1]])
        # An alias that two share says nothing about which of them is meant.
        if len(owners) == 1:
            parents[_root(parents, thing)] = _root(parents, next(iter(owners)))
    return {thing: _root(parents, thing) for thing in things}


def _root(parents: Mapping[EntityKey, EntityKey], thing: EntityKey) -> EntityKey:
    while parents[thing] != thing:
        thing = parents[thing]
    return thing


def _entity(group: _Merged) -> Entity:
    # The name that the text uses most; then the longest, then the last in the alphabet, so that any
    # order gives the same.
    name = max(group.names, key=lambda one: (group.names[one], len(one), one))
    typed = {label: count for label, count in group.types.items() if label}
    others = dict.fromkeys([*group.names, *group.aliases])
    return Entity(
        id="",
        name=name,
        type=max(typed, key=lambda one: (typed[one], one)) if typed else "",
        aliases=sorted(one for one in others if one != name),
        mentions=_longest(group.mentions),
    )


def _relations(
    pairs: Sequence[tuple[Chunk, Findings]], ends: Mapping[EntityKey, Entity]
) -> list[Relation]:
    merged: dict[tuple[str, str, str], Relation] = {}
    for chunk, findings in pairs:
        for found in findings["relations"]:
            # A relation's ends are those that the chunk's entities were joined into.
            head = ends[_thing(findings["entities"][found["head"]])]
            tail = ends[_thing(findings["entities"][found["tail"]])]
            if head is tail:
                continue  # Two names that turned out to be one thing.
            place = (head["id"], key(found["relation"]), tail["id"])
            relation = merged.setdefault(
                place,
                Relation(
                    head=head["name"],
                    head_id=head["id"],
                    relation=found["relation"],
                    tail=tail["name"],
                    tail_id=tail["id"],
                    evidence=[],
                ),
            )
            relation["evidence"] += _spans(chunk, [found["stretch"]])
    for relation in merged.values():
        relation["evidence"] = _unique(relation["evidence"])
    return sorted(merged.values(), key=lambda one: (*_at(one["evidence"][0]), one["relation"]))


def _spans(chunk: Chunk, stretches: Sequence[Stretch]) -> Iterator[Span]:
    for place in chunk["places"]:
        for begin, end in stretches:
            yield _span(place, chunk["text"], begin, end)


def _span(place: Place, text: str, begin: int, end: int) -> Span:
    return Span(
        source=place["source"],
        document=place["document"],
        start=place["start"] + begin,
        end=place["start"] + end,
        quote=text[begin:end],
    )


def _unique(spans: Sequence[Span]) -> list[Span]:
    by_place = {_at(span): span for span in spans}
    return [by_place[place] for place in sorted(by_place)]


def _longest(spans: Sequence[Span]) -> list[Span]:
    """In order, without those inside of another: "Curie" is not named apart in "Marie Curie"."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one["document"], one["start"], -one["end"])):
        inside = (
            kept and kept[-1]["document"] == span["document"] and span["end"] <= kept[-1]["end"]
        )
        if not inside:
            kept.append(span)
    return kept


def _first(entity: Entity) -> tuple[int, int, int]:
    return _at(entity["mentions"][0])


def _at(span: Span) -> tuple[int, int, int]:
    return span["document"], span["start"], span["end"]
