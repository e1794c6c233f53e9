"""What the relation extractor takes and gives, and its state in between."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.documents import Document
from langgraph.channels import EphemeralValue
from typing_extensions import TypedDict

from aegis_graph.components.relation_extractor.chunk_graph import ChunkDone, ChunkTask
from aegis_graph.components.relation_extractor.records import (
    Entity,
    FailedChunk,
    KnownEntity,
    Relation,
)
from aegis_graph.components.relation_extractor.rounds import Rounds
from aegis_graph.components.router_node import CommonInput, CommonOutput
from aegis_graph.types import AttemptRecord


class SchemaInput(TypedDict, total=False):
    """A ``RelationSchema`` as JSON."""

    entity_types: list[str]
    relations: list[Any]
    """Triples of head type, relation and tail type, or names of relations."""
    strict: bool


class RelationInput(CommonInput, total=False):
    """What a caller gives: a ``text``, or ``documents``, or both."""

    text: Annotated[str, EphemeralValue]
    documents: Annotated[list[Document], EphemeralValue]
    known_entities: Annotated[list[KnownEntity], EphemeralValue]
    """Where there are some, only relations between these are looked for."""
    schema: Annotated[SchemaInput, EphemeralValue]
    """Instead of the schema that the graph was built with."""
    only: Annotated[list[str], EphemeralValue]
    """Ids of the chunks that may be asked about; the others come from the kept answers."""


class RelationOutput(CommonOutput):
    """What a caller gets."""

    entities: list[Entity]
    relations: list[Relation]
    dropped: dict[str, int]
    """How many statements of the models were left out, by reason."""
    chunks: int
    """How many different chunks there were."""
    reused: int
    """How many answers had been bought before."""
    failed_chunks: list[FailedChunk]


class RelationState(CommonInput, total=False):
    """The graph's own state. What the request gives lives for one step."""

    text: Annotated[str, EphemeralValue]
    documents: Annotated[list[Document], EphemeralValue]
    schema: Annotated[SchemaInput, EphemeralValue]
    only: Annotated[list[str], EphemeralValue]
    known_entities: Annotated[list[KnownEntity], EphemeralValue]
    entities: list[Entity]
    common: ChunkTask
    """What the tasks of all chunks share."""
    # Added up, because chunks end side by side.
    done: Annotated[list[ChunkDone], operator.add]
    rounds: Rounds
    relations: list[Relation]
    dropped: dict[str, int]
    chunks: int
    reused: int
    failed_chunks: list[FailedChunk]
    attempts: list[AttemptRecord]
    degraded: bool
    degraded_reason: str | None
