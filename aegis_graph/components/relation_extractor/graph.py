"""Extracts entities and relations from texts of any length: cut, extract chunk by chunk, merge.

```mermaid
graph TD
  START --> cut
  cut -. one per chunk .-> extract
  extract --> gather
  gather -. chunks to try again .-> extract
  gather -. nothing left to try .-> merge
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

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Command, Overwrite, Send

from aegis_graph.components.documents.langchain import with_highest_sensitivity
from aegis_graph.components.documents.splitting import MAX_PASSAGE_CHARS
from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.components.relation_extractor.chunk_graph import (
    ChunkDone,
    ChunkTask,
    create_chunk_extractor,
)
from aegis_graph.components.relation_extractor.chunks import (
    cut_into_chunks,
    documents_of,
    read_entities,
)
from aegis_graph.components.relation_extractor.merging import merge
from aegis_graph.components.relation_extractor.prompts import PromptWriter
from aegis_graph.components.relation_extractor.records import FailedChunk
from aegis_graph.components.relation_extractor.rounds import Rounds, next_round
from aegis_graph.components.relation_extractor.schema import RelationSchema
from aegis_graph.components.relation_extractor.state import (
    RelationInput,
    RelationOutput,
    RelationState,
)
from aegis_graph.components.relation_extractor.store import AnswerStore
from aegis_graph.components.router_node import RouterGraph, options_of, run_graph
from aegis_graph.errors import ConfigError
from aegis_graph.routing.hosts.private_runs import PrivateRuns

CHUNK_CHARS = 2_400
"""About 600 tokens: Microsoft GraphRAG found twice the entities at 600 tokens that it found at
2,400 (arXiv 2404.16130)."""


def create_relation_extractor(
    router: RouterGraph,
    *,
    schema: RelationSchema | dict[str, Any] | None = None,
    max_gleanings: int = 1,
    max_retries: int = 2,
    retry_wait_s: float = 30.0,
    max_concurrency: int = 4,
    chunk_chars: int = CHUNK_CHARS,
    structured: bool = True,
    store: AnswerStore | str | Path | None = None,
    prompts_folder: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "relations",
) -> CompiledStateGraph[RelationState, None, RelationInput, RelationOutput]:
    """Build the graph that extracts entities and relations, each grounded in the text.

    Calls carry the tasks ``extract`` and ``glean``. A chunk for which no provider may be asked, or
    whose answers cannot be read, is reported in ``failed_chunks``; the same request again asks for
    no other chunk, as long as the store lives. The run emits custom events: ``extraction_started``
    with the number of chunks, then one ``chunk_extracted`` or ``chunk_failed`` for each, and
    ``extraction_waits`` before a wait.

    Args:
        router: The compiled router.
        schema: What may be found; anything when absent.
        max_gleanings: How often at most a chunk is asked about again, until nothing new comes.
        max_retries: How often chunks for which every provider failed are tried again at the end.
        retry_wait_s: How long to wait before that, in seconds, when a provider is in cooldown; the
            default is that of ``health.cooldown_s``.
        max_concurrency: How many chunks are in work at once, unless a run, or the graph around this
            one, has its own.
        chunk_chars: About how long a chunk is, in characters; at least 900.
        structured: Whether to ask providers for answers in a schema. Otherwise the form is asked
            for in words, and an unreadable answer is shown to the model once.
        store: Where answers are kept so that they are bought once: a file, or a store to share. In
            memory, as long as the graph lives, when absent.
        prompts_folder: A folder whose prompt files win over those of this package.
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
    _check_least(1, max_concurrency=max_concurrency)
    answers = store if isinstance(store, AnswerStore) else AnswerStore(store)
    chunk_graph = create_chunk_extractor(router, answers, PromptWriter(prompts_folder))
    limits = (max_gleanings, max_retries, retry_wait_s, chunk_chars)
    nodes = _Nodes(RelationSchema.of(schema), *limits, structured)
    built = _build(nodes, chunk_graph).compile(checkpointer=checkpointer, name=name)
    return PrivateRuns.of(built, router=router).with_config(max_concurrency=max_concurrency)


def _build(
    nodes: _Nodes, chunk_graph: CompiledStateGraph[Any, Any, Any, Any]
) -> StateGraph[RelationState, None, RelationInput, RelationOutput]:
    builder: StateGraph[RelationState, None, RelationInput, RelationOutput] = StateGraph(
        RelationState, input_schema=RelationInput, output_schema=RelationOutput
    )
    builder.add_node("cut", nodes.cut)
    builder.add_node("extract", _extract(chunk_graph), input_schema=cast("Any", ChunkTask))
    builder.add_node("gather", dual_node(nodes, _gather), destinations=("extract", "merge"))
    builder.add_node("merge", nodes.merge)
    builder.add_edge(START, "cut")
    builder.add_edge("extract", "gather")
    builder.add_edge("merge", END)
    return builder


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The nodes around the extraction of one chunk. Sync: they only compute."""

    schema: RelationSchema
    max_gleanings: int
    max_retries: int
    retry_wait_s: float
    chunk_chars: int
    structured: bool

    def __post_init__(self) -> None:
        _check_least(0, max_gleanings=self.max_gleanings, max_retries=self.max_retries)
        _check_least(0, retry_wait_s=self.retry_wait_s)
        # A passage is never cut, so a chunk must hold the longest.
        _check_least(MAX_PASSAGE_CHARS, chunk_chars=self.chunk_chars)

    def cut(self, state: RelationState) -> Command[Literal["extract"]]:
        """Cut the documents, and hand each chunk on."""
        schema = state.get("schema")
        what = self.schema if schema is None else RelationSchema.of(cast("dict[str, Any]", schema))
        known = read_entities(state.get("known_entities"))
        documents = documents_of(state)
        chunks = cut_into_chunks(documents, self.chunk_chars)
        only = state.get("only")
        get_stream_writer()({"event": "extraction_started", "chunks": len(chunks)})
        common = ChunkTask(
            schema=what.model_dump(mode="json"),
            known=known,
            options=with_highest_sensitivity(options_of(state), documents),
            max_gleanings=self.max_gleanings,
            structured=self.structured,
        )
        tasks = [
            ChunkTask(**common, chunk=chunk, may_ask=only is None or chunk["id"] in only)
            for chunk in chunks
        ]
        update = {
            "common": common,
            # The reducer would add to the chunks of a request that was stopped on this thread.
            "done": Overwrite([]),
            # The first round: no chunk was tried yet.
            "rounds": Rounds(pending=len(tasks), idle=0),
        }
        return Command(goto=[Send("extract", task) for task in tasks], update=update)

    def gather(self, state: RelationState) -> tuple[Command[str], float]:
        """Try again the chunks that may yet be answered, after so many seconds."""
        following = next_round(state["done"], state["rounds"], self.max_retries)
        if not following.pending:
            return Command(goto="merge"), 0.0
        wait_s = self.retry_wait_s if following.wait else 0.0
        if following.wait:
            pending = len(following.pending)
            get_stream_writer()({"event": "extraction_waits", "chunks": pending, "seconds": wait_s})
        tasks = [
            ChunkTask(
                **state["common"],
                chunk=one["chunk"],
                # A chunk that may not be asked about is never pending.
                may_ask=True,
                answers=one["answers"],
                attempts=one["attempts"],
                reused=one["reused"],
                tries=one["tries"],
            )
            for one in following.pending
        ]
        update = {"done": Overwrite(list(following.finished)), "rounds": following.rounds}
        return Command(goto=[Send("extract", task) for task in tasks], update=update), wait_s

    def merge(self, state: RelationState) -> dict[str, Any]:
        """Join what the chunks gave, and say what is missing."""
        # Chunks end in any order.
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
            # All of it is in the output now; a thread need not keep it twice.
            "done": Overwrite([]),
        }


async def _gather(
    nodes: _Nodes, state: RelationState, config: RunnableConfig, call: DualCall
) -> Command[str]:
    """The node between two rounds; it may wait."""
    command, wait_s = nodes.gather(state)
    await call(lambda: time.sleep(wait_s), lambda: asyncio.sleep(wait_s))
    return command


def _extract(
    chunk_graph: CompiledStateGraph[Any, Any, Any, Any],
) -> Runnable[Any, Any]:
    """The node that extracts one chunk, and tells on the stream how it went."""
    return run_graph(
        chunk_graph, prepare=lambda task: task, conclude=lambda _, result: _emitted(result)
    )


def _emitted(result: Mapping[str, Any]) -> dict[str, Any]:
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


def _check_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{name}: {value} is too small; use at least {least}")
