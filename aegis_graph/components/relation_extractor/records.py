"""The rows of an extraction: what a caller gives and gets, and what a chunk's task hands on.

All of it is JSON, so that any checkpointer can store it.
"""

from __future__ import annotations

from typing import Literal, Required

from typing_extensions import TypedDict

from aegis_graph.text.mentions import Stretch

ExtractionTask = Literal["extract", "glean"]


class Span(TypedDict):
    """A piece of a document: ``documents[document].page_content[start:end] == quote``."""

    source: str
    document: int
    """Its place among the documents, from 0."""
    start: int
    end: int
    quote: str


class Entity(TypedDict):
    """Something that the text names."""

    id: str
    """``e1`` for the first one; relations point to it."""
    name: str
    type: str
    """Empty where the model gave none."""
    aliases: list[str]
    """Its other names in the text."""
    mentions: list[Span]
    """Every place that names it, in order."""


class Relation(TypedDict):
    """Something that the text says of two entities."""

    head: str
    head_id: str
    relation: str
    tail: str
    tail_id: str
    evidence: list[Span]
    """Every place that says it, in order."""


class KnownEntity(TypedDict, total=False):
    """An entity that the caller knows already."""

    name: Required[str]
    type: str
    aliases: list[str]


class Place(TypedDict):
    """Where a chunk's text stands."""

    source: str
    document: int
    start: int


class Chunk(TypedDict):
    """A piece of text that is asked about at once. The same text is asked about once only."""

    id: str
    """A hash of the text."""
    text: str
    places: list[Place]


class FailedChunk(TypedDict):
    """A chunk whose extraction is not complete, to be run again with ``only=[id]``."""

    id: str
    places: list[Place]
    task: ExtractionTask
    """Where it stopped: after ``extract``, what was found is kept."""
    error_type: str
    reason: str


class FoundEntity(TypedDict):
    """An entity of one chunk; stretches count the chunk's characters."""

    name: str
    type: str
    aliases: list[str]
    stretches: list[Stretch]


class FoundRelation(TypedDict):
    """A relation of one chunk, between the entities with these places in its list."""

    head: int
    relation: str
    tail: int
    stretch: Stretch


class Findings(TypedDict):
    """What one chunk's answers say that can be found in its text."""

    entities: list[FoundEntity]
    relations: list[FoundRelation]
    dropped: dict[str, int]
    """How many statements of the model were left out, by reason."""
