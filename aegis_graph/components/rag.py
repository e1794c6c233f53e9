"""From a question to a cited answer, under one envelope of money: ``create_rag``.

```mermaid
graph TD
  START --> prepare
  prepare --> decompose
  decompose --> answer
  answer --> END
```

``decompose`` is the query decomposer over the retriever, or a plain ``retrieve``; ``answer`` is
the answer generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Required

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer
from typing_extensions import TypedDict

from aegis_graph.components.answer_generator.graph import AnswerGenerator, create_answer_generator
from aegis_graph.components.answer_generator.state import AnswerOutput
from aegis_graph.components.documents.langchain import with_highest_sensitivity
from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.components.query_decomposer.graph import create_query_decomposer
from aegis_graph.components.query_decomposer.plan import MAX_STEPS, QueryPlan, single_plan
from aegis_graph.components.query_decomposer.steps import StepResult
from aegis_graph.components.retriever.search import Source, search
from aegis_graph.components.router_node import (
    CommonInput,
    RouterGraph,
    cost_text,
    options_of,
    question_of,
    run_graph,
)
from aegis_graph.concurrency.inline_node import InlineNode
from aegis_graph.routing.walking.walked_graph import WalkedGraph
from aegis_graph.types import AttemptRecord, Task


class TaskCost(TypedDict):
    """What one kind of work cost in a run."""

    task: Task
    calls: int
    cost_usd: str
    """Decimal text, exact."""


class RagInput(CommonInput, total=False):
    """What a caller gives. Only ``question`` is required."""

    question: Required[str]


class RagOutput(AnswerOutput):
    """What a caller gets: an answer, and how it was come by; see ``DecomposerOutput``."""

    plan: QueryPlan
    steps: list[StepResult]
    documents: list[Document]
    costs: list[TaskCost]
    """By task, in the order of the run."""
    cost_usd: str
    """Of all attempts together, as decimal text."""
    ledger_run_id: str
    """The ``run_id`` of the run's rows in the ledger."""


class RagState(RagInput, RagOutput):
    """The graph's own state."""

    options: dict[str, Any]


Rag = CompiledStateGraph[RagState, None, RagInput, RagOutput]


def create_rag(
    router: RouterGraph,
    retriever: Source,
    *,
    decompose: bool = True,
    generator: AnswerGenerator | None = None,
    max_steps: int = MAX_STEPS,
    prompts_folder: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "rag",
) -> Rag:
    """Build the pipeline: question, sub-questions, documents, answer with citations.

    Args:
        router: The compiled router, for every call of the pipeline.
        retriever: Any LangChain retriever, ``create_retriever`` over files, or a function from a
            question to documents.
        decompose: Whether a question that is not plainly simple is planned first, by one call.
        generator: An answer generator built with other settings than the defaults.
        max_steps: Steps of a plan, at most.
        prompts_folder: A folder whose prompts win over those of this package.
        checkpointer: Where the graph keeps its state between steps, if anywhere.
        name: Name of the graph.

    Raises:
        ConfigError: A prompt of the folder is wrong.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> rag = create_rag(create_router(RouterConfig()), retriever)      # doctest: +SKIP
        >>> rag.invoke({"question": "What is a hold?", "max_cost_usd": "0.02"})  # doctest: +SKIP
    """
    answers = generator or create_answer_generator(router, prompts_folder=prompts_folder)
    first = "decompose" if decompose else "retrieve"
    builder = StateGraph(RagState, input_schema=RagInput, output_schema=RagOutput)
    builder.add_node("prepare", InlineNode(_prepare))
    if decompose:
        decomposer = create_query_decomposer(
            router, retriever, max_steps=max_steps, prompts_folder=prompts_folder
        )
        builder.add_node(first, run_graph(decomposer, prepare=_question, conclude=_decomposed))
    else:
        builder.add_node(first, dual_node(retriever, _retrieve))
    builder.add_node("answer", run_graph(answers, prepare=_context, conclude=_answered))
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", first)
    builder.add_edge(first, "answer")
    builder.add_edge("answer", END)
    built = builder.compile(checkpointer=checkpointer, name=name)
    return WalkedGraph.of(built, router=router, asked=(retriever, answers))


def costs_by_task(attempts: Sequence[AttemptRecord]) -> list[TaskCost]:
    """What the attempts cost, task by task, in their order."""
    tasks = dict.fromkeys(attempt["task"] for attempt in attempts)
    return [
        TaskCost(
            task=task,
            calls=sum(1 for one in attempts if one["task"] == task),
            cost_usd=cost_text([one for one in attempts if one["task"] == task]),
        )
        for task in tasks
    ]


def _prepare(state: RagState) -> dict[str, Any]:
    # An empty question is refused before anything is looked up.
    question_of(state)
    options = options_of(state)
    return {"options": options, "ledger_run_id": options["run_id"]}


def _question(state: RagState) -> dict[str, Any]:
    return {"question": state["question"], **state["options"]}


def _decomposed(state: RagState, result: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("plan", "steps", "documents", "attempts", "degraded", "degraded_reason")
    return {key: result[key] for key in kept}


async def _retrieve(
    retriever: Source, state: RagState, config: RunnableConfig, call: DualCall
) -> dict[str, Any]:
    found = await search(retriever, state["question"], state["options"], config, call)
    return {
        "plan": single_plan(state["question"]),
        "steps": [],
        "documents": found.documents,
        "attempts": found.attempts,
        "degraded": found.degraded_reason is not None,
        "degraded_reason": found.degraded_reason,
    }


def _context(state: RagState) -> dict[str, Any]:
    """The answer generator's input: the documents, and what was found out on the way."""
    notes = [f"{step['question']} {step['answer']}" for step in state["steps"] if step["answer"]]
    # A note is as private as what it was taken from, whether or not that is among the documents.
    behind = [document for step in state["steps"] for document in step["documents"]]
    options = with_highest_sensitivity(state["options"], behind if notes else [])
    parts = [step["question"] for step in state["steps"]]
    given = {"documents": state["documents"], "notes": notes, "parts": parts}
    return {"question": state["question"], **options, **given}


def _answered(state: RagState, result: Mapping[str, Any]) -> dict[str, Any]:
    attempts = [*state["attempts"], *result["attempts"]]
    reasons = [state["degraded_reason"], result["degraded_reason"]]
    return {
        **result,
        "attempts": attempts,
        "degraded": state["degraded"] or result["degraded"],
        "degraded_reason": "; ".join(reason for reason in reasons if reason) or None,
        "costs": costs_by_task(attempts),
        "cost_usd": cost_text(attempts),
    }
