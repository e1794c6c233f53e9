"""Reads what a model answered to an extraction, well formed or not, without believing any of it.

What comes out is names and labels as the model wrote them; ``grounding`` decides what the text
bears out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis_graph.text.json_text import repaired_json
from aegis_graph.text.reasoning import spoken_part

# A fence without an end belongs to an answer that was cut.
_FENCED = re.compile(r"```[a-zA-Z]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL)

_ENTITIES = ("entities", "nodes", "entitäten")
_RELATIONS = ("relations", "relationships", "triples", "triplets", "edges", "beziehungen")
_NAME = ("name", "entity", "text", "mention", "id")
_TYPE = ("type", "label", "category", "entity_type", "typ")
_ALIASES = ("aliases", "alias", "mentions")
_HEAD = ("head", "source", "subject", "from", "start")
_TAIL = ("tail", "target", "object", "to", "end")
_RELATION = ("relation", "type", "predicate", "relationship", "label", "relation_type")
_QUOTE = ("quote", "evidence", "sentence", "quotation", "zitat")

MAX_STATEMENTS = 2_000
"""Entities or relations that are read from one answer: more is a model that repeats itself."""


@dataclass(frozen=True, slots=True)
class RawEntity:
    """An entity, as a model says."""

    name: str
    type: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawRelation:
    """A relation, as a model says."""

    head: str
    relation: str
    tail: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class ParsedExtraction:
    """An answer, read."""

    entities: Sequence[RawEntity] = ()
    relations: Sequence[RawRelation] = ()
    malformed: int = 0
    """How many items had no name, or lacked an end."""
    fault: str | None = field(default=None)
    """Why nothing can be read from the answer, in one line that the model can act on."""


def parse_extraction(answer: str) -> ParsedExtraction:
    """Read an answer; a ``fault`` says why it cannot be.

    Reasoning, code fences, text around the JSON, JSON that is damaged or cut off, other names of
    the keys, and lists instead of objects are understood.

    Example:
        >>> parse_extraction('Sure! {"entities": [{"name": "Ada", "type": "Person"}], "relations')
        ... # doctest: +NORMALIZE_WHITESPACE
        ParsedExtraction(entities=[RawEntity(name='Ada', type='Person', aliases=())], relations=[],
                malformed=0, fault=None)
        >>> parse_extraction("I cannot do that.").fault
        'the answer contains no JSON object'
    """
    # Answers that were kept from earlier runs have their reasoning still.
    text = spoken_part(answer)
    values = [value for piece in _candidates(text) if (value := _json(piece)) is not None]
    if not values:
        return ParsedExtraction(fault="the answer contains no JSON object")
    for value in values:
        found = _lists(value)
        if found is not None:
            return _read(*found)
    return ParsedExtraction(fault="the JSON has neither a list 'entities' nor a list 'relations'")


def _candidates(text: str) -> Iterator[str]:
    # What is in a fence comes first: prose before it may have brackets as well.
    for block in _FENCED.findall(text):
        yield from _from_bracket(block)
    yield from _from_bracket(text)


def _from_bracket(text: str) -> Iterator[str]:
    begin = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=None)
    if begin is not None:
        yield text[begin:]
    # A list in the prose before the object, such as "[1]", is not the answer.
    brace = text.find("{")
    if brace >= 0 and brace != begin:
        yield text[brace:]


def _json(text: str) -> Any:
    value = repaired_json(text)
    return value if isinstance(value, (dict, list)) else None


def _lists(value: Any) -> tuple[list[Any], list[Any]] | None:
    """The lists of entities and of relations, wherever the model put them."""
    if isinstance(value, list):
        return _bare(value)
    # Some models wrap the answer in an object of their own.
    for candidate in (value, *value.values()):
        if not isinstance(candidate, Mapping):
            continue
        entities, relations = _first(candidate, _ENTITIES), _first(candidate, _RELATIONS)
        if isinstance(entities, list) or isinstance(relations, list):
            return _list(entities), _list(relations)
    return None


def _bare(items: list[Any]) -> tuple[list[Any], list[Any]] | None:
    """A list without a name: of whole answers, of relations, or of entities."""
    for item in items:
        if isinstance(item, Mapping) and (found := _lists(item)) is not None:
            return found
    # A list without names: what has two ends is a relation, what has a name an entity.
    relations = [item for item in items if _is_relation(item)]
    entities = [item for item in items if isinstance(item, Mapping) and not _is_relation(item)]
    named = [item for item in entities if _text(item, _NAME)]
    return (named, relations) if relations or named else None


def _read(entities: list[Any], relations: list[Any]) -> ParsedExtraction:
    entities, relations = entities[:MAX_STATEMENTS], relations[:MAX_STATEMENTS]
    read = [_entity(item) for item in entities]
    linked = [_relation(item) for item in relations]
    return ParsedExtraction(
        [one for one in read if one is not None],
        [one for one in linked if one is not None],
        malformed=read.count(None) + linked.count(None),
    )


def _entity(item: Any) -> RawEntity | None:
    if isinstance(item, str):
        return RawEntity(item.strip()) if item.strip() else None
    if not isinstance(item, Mapping) or not (name := _text(item, _NAME)):
        return None
    aliases = [one for one in _list(_first(item, _ALIASES)) if isinstance(one, str)]
    return RawEntity(name, _text(item, _TYPE), tuple(one for one in aliases if one.strip()))


def _relation(item: Any) -> RawRelation | None:
    if isinstance(item, list):
        # A triple, with or without its quotation.
        item = dict(zip(("head", "relation", "tail", "quote"), item, strict=False))
    if not isinstance(item, Mapping):
        return None
    head, tail = _end(_first(item, _HEAD)), _end(_first(item, _TAIL))
    relation = _text(item, _RELATION)
    if not (head and relation and tail):
        return None
    return RawRelation(head, relation, tail, _text(item, _QUOTE))


def _is_relation(item: Any) -> bool:
    if isinstance(item, list):
        return len(item) in (3, 4) and all(isinstance(part, str) for part in item)
    return isinstance(item, Mapping) and _relation(item) is not None


def _end(value: Any) -> str:
    return _text(value, _NAME) if isinstance(value, Mapping) else _plain(value)


def _first(item: Mapping[Any, Any], keys: Sequence[str]) -> Any:
    # Models write the same key in other cases.
    lowered = {str(key).strip().casefold(): value for key, value in item.items()}
    return next((lowered[key] for key in keys if lowered.get(key) is not None), None)


def _text(item: Mapping[Any, Any], keys: Sequence[str]) -> str:
    return _plain(_first(item, keys))


def _plain(value: Any) -> str:
    # A year is a name, too. A bool is an int for Python, and names nothing.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []
