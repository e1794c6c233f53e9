"""Takes a question apart, and looks up its parts in the right order: ``create_query_decomposer``.

```mermaid
graph TD
  START --> prepare
  prepare -. plainly simple .-> dispatch
  prepare -.-> plan
  plan --> dispatch
  dispatch -. each step that is ready, at once .-> find
  find -.-> dispatch
  find -. a later step needs its answer .-> note
  note --> dispatch
  dispatch -. all done .-> finish
  finish --> END
```

``plan`` and ``note`` hold the router. A plan that cannot be made or understood degrades to the
question itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, Required

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Command, Overwrite, Send

from aegis_graph.components.documents.langchain import with_highest_sensitivity
from aegis_graph.components.prompts import prompts
from aegis_graph.components.query_decomposer.plan import (
    MAX_STEPS,
    PLAN_SCHEMA,
    InvalidPlanError,
    PlanStep,
    QueryPlan,
    is_plainly_simple,
    parse_plan,
    resolve,
    single_plan,
)
from aegis_graph.components.query_decomposer.steps import (
    Lookup,
    StepAnswers,
    StepResult,
    lookup_node,
)
from aegis_graph.components.retriever.search import Source
from aegis_graph.components.router_node import (
    CommonInput,
    CommonOutput,
    RouterCall,
    RouterGraph,
    RouterOutcome,
    ask_router,
    options_of,
    question_of,
)
from aegis_graph.concurrency.inline_node import InlineNode
from aegis_graph.routing.walking.walked_graph import WalkedGraph
from aegis_graph.text.words import Language, language_of

MAX_DOCUMENTS = 12
"""Documents of all steps together, at most, unless the caller says otherwise."""


class DecomposerInput(CommonInput, total=False):
    """What a caller gives. Only ``question`` is required."""

    question: Required[str]


class DecomposerOutput(CommonOutput):
    """What a caller gets."""

    plan: QueryPlan
    planned_by: Literal["rule", "model", "fallback"]
    """``rule`` for a plainly simple question, ``fallback`` where no model made a usable plan."""
    steps: list[StepResult]
    documents: list[Document]
    """Of all steps, each once: the best of each first."""


def _joined(left: dict[str, StepResult], right: dict[str, StepResult]) -> dict[str, StepResult]:
    return {**left, **right}


class DecomposerState(DecomposerInput, DecomposerOutput):
    """The graph's own state."""

    options: dict[str, Any]
    started: list[int]
    results: Annotated[dict[str, StepResult], _joined]


QueryDecomposer = CompiledStateGraph[DecomposerState, None, DecomposerInput, DecomposerOutput]


def create_query_decomposer(
    router: RouterGraph,
    source: Source,
    *,
    max_steps: int = MAX_STEPS,
    max_documents: int = MAX_DOCUMENTS,
    skip_simple: bool = True,
    structured: bool = True,
    prompts_folder: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "query_decomposer",
) -> QueryDecomposer:
    """Build the graph that plans sub-questions and looks them up, independent ones in parallel.

    While streaming, a custom event ``plan`` shows the plan that a model made, and one event
    ``step`` each sub-question with its answer, if it needed one.

    Args:
        router: The compiled router; calls are tagged ``decompose``.
        source: Where each sub-question is looked up: a LangChain retriever, a graph that takes
            ``question``, or a function. Where it gives documents only, the answer that a later
            step needs is asked of the router.
        max_steps: Steps of a plan, at most.
        max_documents: Documents of the output, at most.
        skip_simple: Whether a short, plain question is looked up as it is, without a call.
        structured: Whether the plan is asked for in a JSON Schema, so that a provider whose plan
            does not fit is passed over; otherwise any reply is read, and mended where it can be.
        prompts_folder: A folder whose ``query_decomposer.en.md`` and other prompts win.
        checkpointer: Where the graph keeps its state between steps, if anywhere.
        name: Name of the graph.

    Raises:
        ConfigError: A prompt of the folder is wrong.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> graph = create_query_decomposer(create_router(RouterConfig()), lambda question: [])
        >>> graph.invoke({"question": "What is a hold?"})["plan"]["kind"]
        'simple'
    """
    instructions = prompts("query_decomposer", prompts_folder)
    planner = _Planner(instructions, max_steps, skip_simple, structured)
    notes = StepAnswers(prompts("query_decomposer_note", prompts_folder))
    steps = _Steps(max_documents)
    builder = StateGraph(
        DecomposerState, input_schema=DecomposerInput, output_schema=DecomposerOutput
    )
    builder.add_node("prepare", InlineNode(planner.prepare), destinations=("plan", "dispatch"))
    builder.add_node("plan", ask_router(router, prepare=planner.ask, conclude=planner.plan))
    builder.add_node("dispatch", InlineNode(steps.dispatch), destinations=("find", "finish"))
    # Drawn by hand: the node's Commands lead on, and LangGraph cannot read them from its body.
    find = lookup_node(source)
    builder.add_node("find", find, destinations=("dispatch", "note"), input_schema=Lookup)
    note = ask_router(router, prepare=notes.ask, conclude=notes.note)
    builder.add_node("note", note, input_schema=Lookup)
    builder.add_node("finish", InlineNode(steps.finish))
    for edge in ((START, "prepare"), ("plan", "dispatch"), ("note", "dispatch"), ("finish", END)):
        builder.add_edge(*edge)
    built = builder.compile(checkpointer=checkpointer, name=name)
    return WalkedGraph.of(built, router=router, asked=(source,))


@dataclass(frozen=True, slots=True)
class _Planner:
    """From the question to a plan that can be followed."""

    instructions: Mapping[Language, Template]
    most: int
    skip_simple: bool
    structured: bool

    def prepare(self, state: DecomposerState) -> Command[Literal["plan", "dispatch"]]:
        """Check the input, and whether the question needs no plan."""
        question = question_of(state)
        update = {
            # Also what remains when no usable plan is made.
            "plan": single_plan(question),
            "planned_by": "rule",
            "attempts": [],
            "degraded": False,
            "degraded_reason": None,
            "options": options_of(state),
            "started": [],
            # The reducer would join the results of the question before on this thread.
            "results": Overwrite({}),
        }
        plain = self.most == 1 or (self.skip_simple and is_plainly_simple(question))
        return Command(goto="dispatch" if plain else "plan", update=update)

    def ask(self, state: DecomposerState) -> RouterCall:
        """The prompt: what kinds there are, and the question."""
        question = state["question"]
        instructions = self.instructions[language_of(question)].substitute(most=self.most)
        messages = [SystemMessage(instructions), HumanMessage(f"Question: {question}")]
        call = RouterCall(messages=messages, task="decompose", options=state["options"])
        if self.structured:
            call["call_options"] = {"response_schema": PLAN_SCHEMA}
        return call

    def plan(self, state: DecomposerState, outcome: RouterOutcome) -> dict[str, Any]:
        """Take the plan, or keep to the question itself and say why."""
        if outcome.answer is None:
            return self._fallback(outcome, f"no plan was made: {outcome.error}")
        try:
            plan = parse_plan(outcome.text, state["question"], most=self.most, cut=outcome.cut)
        except InvalidPlanError as error:
            return self._fallback(outcome, f"the plan could not be used: {error}")
        # Only a model's plan: the question itself needs no showing.
        get_stream_writer()({"event": "plan", "plan": plan})
        return {"plan": plan, "planned_by": "model", "attempts": outcome.attempts}

    def _fallback(self, outcome: RouterOutcome, reason: str) -> dict[str, Any]:
        degraded = {"degraded": True, "degraded_reason": reason}
        return {"planned_by": "fallback", "attempts": outcome.attempts, **degraded}


@dataclass(frozen=True, slots=True)
class _Steps:
    """Which steps are next, and what they gave together."""

    max_documents: int

    def dispatch(self, state: DecomposerState) -> Command[Literal["find", "finish"]]:
        """Start every step whose needs are met; end when all are done."""
        steps, results = state["plan"]["steps"], state["results"]
        if len(results) == len(steps):
            return Command(goto="finish")
        # A step may still be on its way through ``note``: it has no result yet, and is not started
        # again.
        ready = [
            step
            for step in steps
            if step["id"] not in state["started"]
            and all(str(needed) in results for needed in step["needs"])
        ]
        started = [*state["started"], *(step["id"] for step in ready)]
        sends = [Send("find", _lookup(step, state)) for step in ready]
        return Command(goto=sends, update={"started": started})

    def finish(self, state: DecomposerState) -> dict[str, Any]:
        """Join the steps."""
        results = [state["results"][str(step["id"])] for step in state["plan"]["steps"]]
        reasons = [state["degraded_reason"], *(one["degraded_reason"] for one in results)]
        given = list(dict.fromkeys(reason for reason in reasons if reason))
        attempts = [*state["attempts"], *(made for one in results for made in one["attempts"])]
        return {
            "steps": results,
            "documents": list(_merged(results))[: self.max_documents],
            "attempts": attempts,
            "degraded": bool(given),
            "degraded_reason": "; ".join(given) or None,
        }


def _lookup(step: PlanStep, state: DecomposerState) -> Lookup:
    results = state["results"]
    needed = {needed for one in state["plan"]["steps"] for needed in one["needs"]}
    answers = {one["id"]: one["answer"] for one in results.values()}
    questions = {one["id"]: one["question"] for one in results.values()}
    # An answer that goes into this question is as private as what it was taken from.
    before = [document for one in results.values() for document in one["documents"]]
    return Lookup(
        step=step,
        question=resolve(step, answers, questions),
        is_needed=step["id"] in needed,
        options=with_highest_sensitivity(state["options"], before if step["needs"] else []),
        result=None,
    )


def _merged(results: Sequence[StepResult]) -> Iterator[Document]:
    """The documents of all steps, each once: every step's best, then every step's second."""
    seen: set[tuple[str, str, str]] = set()
    for rank in zip_longest(*(one["documents"] for one in results)):
        for document in filter(None, rank):
            place = document.metadata
            key = (str(place.get("source")), str(place.get("start_index")), document.page_content)
            if key not in seen:
                seen.add(key)
                yield document
