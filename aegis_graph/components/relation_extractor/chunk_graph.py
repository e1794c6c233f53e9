"""Extracts from one chunk: recall what was bought, ask, read, and glean until nothing new comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from aegis_graph.components.model_chain import model_chain
from aegis_graph.components.relation_extractor.grounding import ground
from aegis_graph.components.relation_extractor.parsing import parse_extraction
from aegis_graph.components.relation_extractor.prompts import (
    ExtractionPrompt,
    PromptWriter,
    answer_problem,
    asked_schema,
)
from aegis_graph.components.relation_extractor.records import (
    Chunk,
    ExtractionTask,
    FailedChunk,
    Findings,
    KnownEntity,
)
from aegis_graph.components.relation_extractor.schema import RelationSchema
from aegis_graph.components.relation_extractor.store import (
    AnswerStore,
    StoredAnswer,
    answer_key,
)
from aegis_graph.components.router_node import RouterCall, RouterGraph, RouterOutcome, ask_router
from aegis_graph.errors import AllProvidersFailedError, RoutingError, StreamInterruptedError
from aegis_graph.types import DEFAULT_SENSITIVITY, AttemptRecord

UNFIT = "UnfitAnswerError"
"""Type of an attempt whose answer did not fit the schema that was asked for."""

Retry = Literal["now", "later"]

TRANSIENT = (AllProvidersFailedError, StreamInterruptedError)
"""Errors after which the same question may yet be answered."""

CUT_FAILURE = (
    "OutputCutError",
    "the answer was cut at its cap of output tokens: raise max_output_tokens, or lower chunk_chars",
)
"""Type and text of a failure that no provider reports as one."""


class ChunkTask(TypedDict, total=False):
    """What one chunk's extraction needs to know."""

    chunk: Chunk
    schema: dict[str, Any]
    known: list[KnownEntity]
    options: dict[str, Any]
    """The common options of the request, for each call."""
    max_gleanings: int
    structured: bool
    may_ask: bool
    """Whether models may be asked, beside what is kept."""
    answers: list[str]
    """Those that could be read so far, in order."""
    attempts: list[AttemptRecord]
    reused: int
    tries: int
    """Rounds in which models were asked about it."""


class ChunkDone(TypedDict):
    """What came of one chunk."""

    chunk: Chunk
    findings: Findings
    answers: list[str]
    attempts: list[AttemptRecord]
    reused: int
    failed: FailedChunk | None
    retry: Retry | None
    """Whether the same question may yet be answered: at once, or when a provider has rested."""
    tries: int


class ChunkState(ChunkTask, total=False):
    """The extraction of one chunk in progress."""

    key: str
    """Under which the next answer is kept."""
    answer: str
    """The last one."""
    cut: bool
    """Whether it ended at its cap of output tokens."""
    second_try: bool
    """Whether the question was put a second time, because the first answer is unreadable."""
    size: list[int]
    """How much was found before the last answer."""
    retry: Retry | None
    asked: bool
    """Whether a provider was called in this round."""
    refusal: tuple[str, str] | None
    """Type and text of the error, where no provider answered."""
    done: ChunkDone


class _Output(TypedDict):
    done: ChunkDone


def create_chunk_extractor(
    router: RouterGraph, store: AnswerStore, prompts: PromptWriter
) -> CompiledStateGraph[ChunkState, None, ChunkTask, _Output]:
    """Build the graph that extracts from one chunk.

    Args:
        router: The compiled router.
        store: Where answers are kept.
        prompts: Writes the messages.
    """
    nodes = _ChunkNodes(store, prompts, router)
    builder: StateGraph[ChunkState, None, ChunkTask, _Output] = StateGraph(
        ChunkState, input_schema=ChunkTask, output_schema=_Output
    )
    builder.add_node("recall", nodes.recall)
    builder.add_node("ask", ask_router(router, prepare=nodes.prepare, conclude=nodes.conclude))
    builder.add_node("read", nodes.read)
    builder.add_edge(START, "recall")
    builder.add_edge("ask", "read")
    return builder.compile(name="extract")


@dataclass(frozen=True, slots=True)
class _ChunkNodes:
    """The nodes. They are sync, so that LangGraph runs what touches a file in a thread."""

    store: AnswerStore
    prompts: PromptWriter
    router: RouterGraph

    def recall(self, state: ChunkState) -> Command[Literal["ask", "read", "__end__"]]:
        """Look for the next answer among those that are kept."""
        key = self._key(state)
        kept = self.store.find(key)
        if kept is not None:
            reused = state.get("reused", 0) + 1
            update = {"key": key, **kept._asdict(), "reused": reused, "refusal": None}
            return Command(goto="read", update=update)
        if state["may_ask"]:
            return Command(goto="ask", update={"key": key})
        reason = "nothing is kept of it, and it is not among the chunks to ask about"
        return Command(goto="__end__", update={"done": _done(state, ("NotAskedError", reason))})

    def prepare(self, state: ChunkState) -> RouterCall:
        """What to ask the router."""
        prompt = _prompt(state)
        second_try = state.get("second_try", False)
        messages = (
            self.prompts.retry(prompt, state.get("answer", ""))
            if second_try
            else self.prompts.messages(prompt)
        )
        call = RouterCall(messages=messages, task=_task(state), options=state["options"])
        # In a schema half an answer is none, so the second time the question is put in words alone.
        if state["structured"] and not second_try:
            call["call_options"] = {"response_schema": asked_schema(prompt.schema)}
            call["find_problem"] = answer_problem
        return call

    def conclude(self, state: ChunkState, outcome: RouterOutcome) -> dict[str, Any]:
        """Keep what the router gave, or why it gave nothing."""
        attempts = [*state.get("attempts", []), *outcome.attempts]
        error = outcome.error
        # An answer did come, if in no usable form: it counts as unreadable, and is asked for once
        # more.
        unfit = error is not None and _answer_is_unfit(error)
        return {
            "attempts": attempts,
            "answer": outcome.text,
            "cut": outcome.cut,
            "asked": state.get("asked", False) or bool(outcome.attempts),
            "retry": _retry(outcome),
            "refusal": None if error is None or unfit else (type(error).__name__, str(error)),
        }

    def read(self, state: ChunkState) -> Command[Literal["recall", "ask", "__end__"]]:
        """Read the answer, keep it, and decide what comes next."""
        if state["refusal"] is not None:
            return Command(goto="__end__", update={"done": _done(state, state["refusal"])})
        answer = state["answer"]
        fault = parse_extraction(answer).fault
        if fault is not None and not state.get("second_try", False):
            return Command(goto="ask", update={"second_try": True})
        if fault is not None:
            reason = f"unreadable twice: {fault}"
            return Command(
                goto="__end__", update={"done": _done(state, ("MalformedAnswerError", reason))}
            )
        # Only what could be read is kept, so that another run asks anew for the rest.
        kept = StoredAnswer(answer, state["cut"])
        self.store.keep(state["key"], kept, task=_task(state), sensitivity=_sensitivity(state))
        answers = [*state.get("answers", []), answer]
        update: dict[str, Any] = {"answers": answers, "second_try": False}
        onward: ChunkState = {**state, **update}  # type: ignore[typeddict-item]
        findings = _findings(onward)
        # Before the first answer, only the known entities count: where an answer adds nothing to
        # them, gleaning would not either.
        spent = len(answers) > state["max_gleanings"]
        if spent or _size(findings) == (state.get("size") or _size(_findings(state))):
            # A gleaning that ends in order makes up for a cut before it, so the last answer
            # decides.
            done = _done(onward, CUT_FAILURE if state["cut"] else None, task=_task(state))
            return Command(goto="__end__", update={**update, "done": done})
        return Command(goto="recall", update={**update, "size": _size(findings)})

    def _key(self, state: ChunkState) -> str:
        """The name of the question's answer, the same whether it is put once or twice."""
        manner = {
            "task": _task(state),
            "sensitivity": _sensitivity(state),
            "max_output_tokens": state["options"].get("max_output_tokens"),
            "structured": state["structured"],
        }
        chain = model_chain(self.router)
        return answer_key(self.prompts.messages(_prompt(state)), chain, manner)


def _prompt(state: ChunkState) -> ExtractionPrompt:
    schema = RelationSchema.model_validate(state["schema"])
    return ExtractionPrompt(
        state["chunk"]["text"], schema, state["known"], state.get("answers", [])
    )


def _task(state: ChunkState) -> ExtractionTask:
    return "glean" if state.get("answers") else "extract"


def _sensitivity(state: ChunkState) -> str:
    return str(state["options"].get("sensitivity") or DEFAULT_SENSITIVITY)


def _findings(state: ChunkState) -> Findings:
    prompt = _prompt(state)
    readings = [parse_extraction(answer) for answer in prompt.answers]
    return ground(readings, prompt.text, prompt.schema, prompt.known)


def _size(findings: Findings) -> list[int]:
    """Grows with each name and each relation that is new."""
    entities = findings["entities"]
    names = sum(1 + len(entity["aliases"]) for entity in entities)
    return [len(entities), names, len(findings["relations"])]


def _answer_is_unfit(error: RoutingError) -> bool:
    """Whether the last provider did answer, but not in the form that was asked for."""
    return bool(error.attempts) and error.attempts[-1]["error_type"] == UNFIT


def _retry(outcome: RouterOutcome) -> Retry | None:
    if outcome.error is None:
        return None
    # A provider that rests may answer once it has rested.
    if any(one["code"] == "cooldown" for one in outcome.skipped):
        return "later"
    return "now" if isinstance(outcome.error, TRANSIENT) else None


def _done(
    state: ChunkState, refusal: tuple[str, str] | None, *, task: ExtractionTask | None = None
) -> ChunkDone:
    chunk = state["chunk"]
    failed = None
    if refusal is not None:
        failed = FailedChunk(
            id=chunk["id"],
            places=chunk["places"],
            task=task or _task(state),
            error_type=refusal[0],
            reason=refusal[1],
        )
    return ChunkDone(
        chunk=chunk,
        findings=_findings(state),
        answers=state.get("answers", []),
        attempts=state.get("attempts", []),
        reused=state.get("reused", 0),
        failed=failed,
        retry=None if failed is None else state.get("retry"),
        tries=state.get("tries", 0) + state.get("asked", False),
    )
