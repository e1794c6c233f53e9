"""Extracts entities and relations from texts of any length: cut, extract chunk by chunk, merge.

```mermaid
graph TD
  START --> cut
  cut -. one per chunk .-> extract
  extract --> merge
  merge --> END
  subgraph extract
    recall -. not bought yet .-> ask
    recall -. bought before .-> read
    ask --> read
    read -. unreadable: once more; something new: glean .-> recall
  end
```

``ask`` holds the routing subgraph. Every answer is a step of its own, so a run with a checkpointer
is resumed without buying it again, and answers are kept by what was asked.
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.channels import EphemeralValue
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Command, Overwrite, Send
from typing_extensions import TypedDict

from aegis_graph.components.answer_store import AnswerStore, model_chain
from aegis_graph.components.chunk_extractor import ChunkDone, ChunkTask, create_chunk_extractor
from aegis_graph.components.extraction_prompts import ExtractionPrompts
from aegis_graph.components.merging import merge
from aegis_graph.components.relation_chunks import cut, read_documents, read_entities
from aegis_graph.components.relation_records import Entity, FailedChunk, GivenEntity, Relation
from aegis_graph.components.relation_schema import RelationSchema
from aegis_graph.components.request import Choices, Report, RouterGraph, chosen
from aegis_graph.components.splitting import LONGEST
from aegis_graph.errors import ConfigError, InvalidRequestError
from aegis_graph.state import DEFAULT_SENSITIVITY, SENSITIVITIES, AttemptRecord

CHUNK_CHARS = 2_400
"""About 600 tokens: Microsoft GraphRAG found twice the entities at 600 tokens that it found at
2,400 (arXiv 2404.16130)."""


class SchemaInput(TypedDict, total=False):
    """A ``RelationSchema`` as JSON."""

    entity_types: list[str]
    relations: list[Any]
    """Triples of head type, relation and tail type, or names of relations."""
    strict: bool


class RelationInput(Choices, total=False):
    """What a caller gives: a ``text``, or ``documents``, or both."""

    text: Annotated[str, EphemeralValue]
    documents: Annotated[list[Document], EphemeralValue]
    known_entities: Annotated[list[GivenEntity], EphemeralValue]
    """Where there are some, only relations between these are looked for."""
    schema: Annotated[SchemaInput, EphemeralValue]
    """Instead of the schema that the graph was built with."""
    only: Annotated[list[str], EphemeralValue]
    """Ids of the chunks that may be asked about; the others come from the kept answers."""


class RelationOutput(Report):
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


class RelationState(Choices, total=False):
    """The graph's own state. What the request gives lives for one step."""

    text: Annotated[str, EphemeralValue]
    documents: Annotated[list[Document], EphemeralValue]
    schema: Annotated[SchemaInput, EphemeralValue]
    only: Annotated[list[str], EphemeralValue]
    known_entities: Annotated[list[GivenEntity], EphemeralValue]
    entities: list[Entity]
    done: Annotated[list[ChunkDone], operator.add]
    relations: list[Relation]
    dropped: dict[str, int]
    chunks: int
    reused: int
    failed_chunks: list[FailedChunk]
    attempts: list[AttemptRecord]
    degraded: bool
    degraded_reason: str | None


def create_relation_extractor(
    router: RouterGraph,
    *,
    schema: RelationSchema | dict[str, Any] | None = None,
    max_gleanings: int = 1,
    max_concurrency: int = 4,
    chunk_chars: int = CHUNK_CHARS,
    structured: bool = True,
    store: AnswerStore | str | Path | None = None,
    prompts: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "relations",
) -> CompiledStateGraph[RelationState, None, RelationInput, RelationOutput]:
    """Build the graph that extracts entities and relations, each grounded in the text.

    Calls carry the tasks ``extract`` and ``glean``. A chunk for which nobody may be asked, or whose
    answers cannot be read, is reported in ``failed_chunks``; the same request again asks for no
    other chunk, as long as the store lives. The run emits custom events: ``extraction_started``
    with the number of chunks, then one ``chunk_extracted`` or ``chunk_failed`` for each.

    Args:
        router: The compiled router.
        schema: What may be found; anything when absent.
        max_gleanings: How often at most a chunk is asked about again for what is missing. It ends
            earlier when a round brings nothing new.
        max_concurrency: How many chunks are in work at once. A run's own ``max_concurrency``, or
            that of the graph around it, wins.
        chunk_chars: About how long a chunk is, in characters; at least 900.
        structured: Whether to ask providers for answers in a schema. Otherwise the form is asked
            for in words, and an unreadable answer is shown to the model once.
        store: Where answers are kept so that they are bought once: a file, or a store to share. In
            memory, as long as the graph lives, when absent.
        prompts: A folder whose prompt files win over those of this package.
        checkpointer: As in ``StateGraph.compile``.
        name: The graph's name.

    Raises:
        ConfigError: An argument is wrong, or a prompt cannot be used.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> graph = create_relation_extractor(
        ...     create_router(RouterConfig()), schema={"relations": [("Person", "BORN_IN", "City")]}
        ... )
        >>> result = graph.invoke({"text": "Ada was born in London."})  # doctest: +SKIP
        >>> [(r["head"], r["relation"], r["tail"]) for r in result["relations"]]  # doctest: +SKIP
        [('Ada', 'BORN_IN', 'London')]
    """
    _check(max_gleanings, max_concurrency, chunk_chars)
    answers = store if isinstance(store, AnswerStore) else AnswerStore(store)
    chunk_graph = create_chunk_extractor(
        router, answers, ExtractionPrompts(prompts), chain=model_chain(router)
    )
    nodes = _Nodes(RelationSchema.of(schema), max_gleanings, chunk_chars, structured)
    builder: StateGraph[RelationState, None, RelationInput, RelationOutput] = StateGraph(
        RelationState, input_schema=RelationInput, output_schema=RelationOutput
    )
    builder.add_node("cut", nodes.cut)
    builder.add_node("extract", _extract(chunk_graph), input_schema=cast("Any", ChunkTask))
    builder.add_node("merge", nodes.merge)
    builder.add_edge(START, "cut")
    builder.add_edge("extract", "merge")
    builder.add_edge("merge", END)
    graph = builder.compile(checkpointer=checkpointer, name=name)
    return graph.with_config(max_concurrency=max_concurrency)


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The nodes around the extraction of one chunk. Sync: they only compute."""

    schema: RelationSchema
    max_gleanings: int
    chunk_chars: int
    structured: bool

    def cut(self, state: RelationState) -> Command[Literal["extract"]]:
        """Cut the documents, and hand each chunk on."""
        if (state.get("sensitivity") or DEFAULT_SENSITIVITY) not in SENSITIVITIES:
            allowed = ", ".join(SENSITIVITIES)
            raise InvalidRequestError(
                f"sensitivity: {state['sensitivity']!r} is unknown; use one of {allowed}"
            )
        schema = state.get("schema")
        what = self.schema if schema is None else RelationSchema.of(cast("dict[str, Any]", schema))
        given = read_entities(state.get("known_entities"))
        chunks = cut(read_documents(state), self.chunk_chars)
        only = state.get("only")
        get_stream_writer()({"event": "extraction_started", "chunks": len(chunks)})
        common = ChunkTask(
            schema=what.model_dump(mode="json"),
            given=given,
            chosen=chosen(state),
            max_gleanings=self.max_gleanings,
            structured=self.structured,
        )
        tasks = [
            ChunkTask(**common, chunk=chunk, may_ask=only is None or chunk["id"] in only)
            for chunk in chunks
        ]
        return Command(
            goto=[Send("extract", task) for task in tasks], update={"done": Overwrite([])}
        )

    def merge(self, state: RelationState) -> dict[str, Any]:
        """Join what the chunks gave, and say what is missing."""
        done = sorted(state["done"], key=_place)
        entities, relations = merge((one["chunk"], one["findings"]) for one in done)
        failed = [one["failed"] for one in done if one["failed"] is not None]
        dropped: dict[str, int] = {}
        for one in done:
            for reason, count in one["findings"]["dropped"].items():
                dropped[reason] = dropped.get(reason, 0) + count
        return {
            "entities": entities,
            "relations": relations,
            "dropped": dict(sorted(dropped.items())),
            "chunks": len(done),
            "reused": sum(one["reused"] for one in done),
            "failed_chunks": failed,
            "attempts": [attempt for one in done for attempt in one["attempts"]],
            "degraded": bool(failed),
            "degraded_reason": _why(failed, len(done)),
            "done": Overwrite([]),
        }


def _extract(
    chunk_graph: CompiledStateGraph[Any, Any, Any, Any],
) -> Runnable[Any, Any]:
    """The node that extracts one chunk, and tells on the stream how it went."""

    # Closures, because LangGraph finds a subgraph among a node's nonlocals.
    def extract(task: ChunkTask, config: RunnableConfig) -> dict[str, Any]:
        return _told(chunk_graph.invoke(task, config))

    async def aextract(task: ChunkTask, config: RunnableConfig) -> dict[str, Any]:
        return _told(await chunk_graph.ainvoke(task, config))

    return RunnableLambda(extract, cast("Callable[[Any], Awaitable[Any]]", aextract))


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    done: ChunkDone = result["done"]
    findings, failed = done["findings"], done["failed"]
    event = {
        "event": "chunk_extracted" if failed is None else "chunk_failed",
        "chunk": done["chunk"]["id"],
        "entities": len(findings["entities"]),
        "relations": len(findings["relations"]),
        "reused": done["reused"],
    }
    get_stream_writer()(event if failed is None else {**event, "reason": failed["reason"]})
    return {"done": [done]}


def _place(done: ChunkDone) -> tuple[int, int]:
    place = done["chunk"]["places"][0]
    return place["document"], place["start"]


def _why(failed: Sequence[FailedChunk], chunks: int) -> str | None:
    if not failed:
        return None
    first = failed[0]
    return f"{len(failed)} of {chunks} chunks are not complete: {first['reason']}"


def _check(max_gleanings: int, max_concurrency: int, chunk_chars: int) -> None:
    if max_gleanings < 0:
        raise ConfigError(f"max_gleanings: {max_gleanings} is negative; use 0 for none")
    if max_concurrency < 1:
        raise ConfigError(f"max_concurrency: {max_concurrency} is too small; use at least 1")
    if chunk_chars < LONGEST:
        raise ConfigError(f"chunk_chars: {chunk_chars} is too small; use at least {LONGEST}")
