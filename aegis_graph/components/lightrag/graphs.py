"""LightRAG as nodes: documents in, a report out; a question in, an answer with references out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.components.lightrag.insert_report import InsertReport
from aegis_graph.components.lightrag.query import Mode, Retrieved
from aegis_graph.components.lightrag.rag import RoutedLightRAG
from aegis_graph.components.lightrag.run import Run
from aegis_graph.components.lightrag.settings import RunOptions
from aegis_graph.components.lightrag.state import (
    InsertRecord,
    LightRAGInput,
    LightRAGInsertInput,
    LightRAGInsertOutput,
    LightRAGOutput,
    LightRAGQueryInput,
    LightRAGQueryOutput,
    LightRAGState,
    RetrievedRecord,
)
from aegis_graph.components.router_node import RouterCall, RouterOutcome, ask_router, options_of
from aegis_graph.errors import InvalidRequestError, RoutingError
from aegis_graph.text.words import language_of

NOTHING_FOUND = {
    "en": "Nothing in the documents belongs to this question.",
    "de": "Nichts in den Dokumenten gehört zu dieser Frage.",
}
"""What is answered where nothing was found; no model is asked for it."""

Graph = CompiledStateGraph[Any, None, Any, Any]


def create_lightrag_insert(rag: RoutedLightRAG, *, name: str = "lightrag_insert") -> Graph:
    """Build the graph that inserts documents; run again, it goes on where the budget ended.

    It streams ``lightrag_document`` events in the mode ``custom``. ``degraded`` says that not all
    is inserted, and why.

    Args:
        rag: The workspace.
        name: Name of the graph.

    Example:
        >>> graph = create_lightragdual_node(rag, _insert)  # doctest: +SKIP
        >>> found = await graph.ainvoke({"documents": {"a.txt": text}})  # doctest: +SKIP
        >>> found["insert"]["state"]  # doctest: +SKIP
        'done'
    """
    builder = StateGraph(
        LightRAGState, input_schema=LightRAGInsertInput, output_schema=LightRAGInsertOutput
    )
    builder.add_node("insert", dual_node(rag, _insert))
    builder.add_edge(START, "insert")
    builder.add_edge("insert", END)
    return builder.compile(name=name)


def create_lightrag_query(rag: RoutedLightRAG, *, name: str = "lightrag_query") -> Graph:
    """Build the graph that answers a question from a workspace: ``retrieve -> answer``.

    Where the keywords cannot be paid it searches as in the mode ``naive``; where the answer cannot,
    it gives what was found without one. ``degraded`` says so.

    Args:
        rag: The workspace.
        name: Name of the graph.

    Example:
        >>> graph = create_lightrag_query(rag)  # doctest: +SKIP
        >>> (await graph.ainvoke({"question": "Who found radium?"}))["answer"]  # doctest: +SKIP
        'Marie and Pierre Curie. [1]'
    """
    builder = StateGraph(
        LightRAGState, input_schema=LightRAGQueryInput, output_schema=LightRAGQueryOutput
    )
    _add_question(builder, rag)
    builder.add_edge(START, "retrieve")
    return builder.compile(name=name)


def create_lightrag(rag: RoutedLightRAG, *, name: str = "lightrag") -> Graph:
    """Build the graph that inserts ``documents``, where given, and answers the ``question``.

    Args:
        rag: The workspace.
        name: Name of the graph.

    Example:
        >>> graph = create_lightrag(rag)  # doctest: +SKIP
        >>> asked = {"documents": {"a.txt": text}, "question": "Who?"}  # doctest: +SKIP
        >>> (await graph.ainvoke(asked))["answer"]  # doctest: +SKIP
        'Marie Curie. [1]'
    """
    builder = StateGraph(LightRAGState, input_schema=LightRAGInput, output_schema=LightRAGOutput)
    builder.add_node("insert", dual_node(rag, _insert))
    _add_question(builder, rag)
    builder.add_edge(START, "insert")
    builder.add_conditional_edges("insert", _has_question, {True: "retrieve", False: END})
    return builder.compile(name=name)


def _add_question(builder: StateGraph[Any, Any, Any, Any], rag: RoutedLightRAG) -> None:
    answering = _AnswerStep()
    builder.add_node("retrieve", dual_node(rag, _retrieve))
    answer = ask_router(
        rag.router, prepare=answering.ask, conclude=answering.conclude, streamed=True
    )
    builder.add_node("answer", answer)
    builder.add_conditional_edges("retrieve", _has_prompt, {True: "answer", False: END})
    builder.add_edge("answer", END)


def _has_question(state: LightRAGState) -> bool:
    return bool(state.get("question"))


def _has_prompt(state: LightRAGState) -> bool:
    return bool(state.get("prompt"))


async def _insert(
    rag: RoutedLightRAG, state: LightRAGState, config: RunnableConfig, call: DualCall
) -> dict[str, Any]:
    documents = state.get("documents")
    # Once for the insert and the question after it, so that both are in one envelope.
    options = options_of(state)
    if not documents:
        return _nothing_inserted(options)
    arguments, progress = _run_options(options), get_stream_writer()
    report = await call(rag.add, rag.aadd, documents, on_progress=progress, **arguments)
    return _inserted(options, report)


async def _retrieve(
    rag: RoutedLightRAG, state: LightRAGState, config: RunnableConfig, call: DualCall
) -> dict[str, Any]:
    search = _Search.of(state)
    while (mode := search.next_mode()) is not None:
        arguments = search.arguments()
        try:
            search.found = await call(
                rag.retrieve, rag.aretrieve, search.question, mode, **arguments
            )
        except RoutingError as error:
            search.fall_back(error)
    return search.update(state)


@dataclass(slots=True)
class _Search:
    """One question's search, and the way it degrades: from the given mode to ``naive`` to none."""

    question: str
    modes: list[Mode]
    options: dict[str, Any]
    run: Run
    found: Retrieved | None = None
    reason: str | None = None

    @classmethod
    def of(cls, state: LightRAGState) -> _Search:
        question = state.get("question")
        if not isinstance(question, str) or not question.strip():
            raise InvalidRequestError("question: empty; give it a text")
        mode = state.get("mode") or "mix"
        # `naive` needs no keywords, so it is left where no model can be paid for them.
        modes: list[Mode] = [mode] if mode == "naive" else [mode, "naive"]
        handed_on = state.get("options")
        options = options_of(state) if handed_on is None else handed_on
        return cls(question, modes, options, Run(_run_options(options)))

    def next_mode(self) -> Mode | None:
        return None if self.found is not None or not self.modes else self.modes.pop(0)

    def arguments(self) -> dict[str, Any]:
        # Of a refused try, only the cost is kept.
        self.run = Run(_run_options(self.options), spending=self.run.spending)
        return {"on_progress": get_stream_writer(), "run": self.run}

    def fall_back(self, error: RoutingError) -> None:
        what = (
            "the question was searched without keywords" if self.modes else "nothing was searched"
        )
        self.reason = f"{what}: {error}"

    def update(self, state: LightRAGState) -> dict[str, Any]:
        # After an insert in the same run, whose attempts and reason stay in the report.
        continued = state.get("options") is not None
        before = state.get("attempts") or [] if continued else []
        found = self.found
        ask = found is not None and found.prompt and not state.get("only_retrieve")
        if found is not None and self.reason is None:
            self.reason = found.degraded_reason
        silent = "" if found is None or found.prompt else NOTHING_FOUND[language_of(self.question)]
        level = {} if found is None else {"sensitivity": found.sensitivity}
        reason = (state.get("degraded_reason") if continued else None) or self.reason
        return {
            "found": _retrieved_record(found),
            "answer": silent,
            "prompt": found.prompt if found is not None and ask else "",
            # The answer is asked as what it is made of.
            "options": {**self.options, **level},
            "attempts": [*before, *self.run.spending.attempts],
            "degraded": reason is not None,
            "degraded_reason": reason,
        }


class _AnswerStep:
    """The last step: the router is asked with LightRAG's instructions."""

    def ask(self, state: LightRAGState) -> RouterCall:
        messages = [SystemMessage(state["prompt"]), HumanMessage(state["question"])]
        return RouterCall(messages=messages, task="answer", options=state["options"])

    def conclude(self, state: LightRAGState, outcome: RouterOutcome) -> dict[str, Any]:
        update: dict[str, Any] = {"attempts": [*state["attempts"], *outcome.attempts]}
        if outcome.answer is not None:
            return {**update, "answer": outcome.text}
        return {**update, "degraded": True, "degraded_reason": f"no answer: {outcome.error}"}


def _run_options(options: Mapping[str, Any]) -> RunOptions:
    return cast(
        RunOptions,
        {key: value for key, value in options.items() if key in RunOptions.__annotations__},
    )


def _nothing_inserted(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "options": options,
        "attempts": [],
        "degraded": False,
        "degraded_reason": None,
        "answer": "",
        "found": _retrieved_record(None),
    }


def _inserted(options: dict[str, Any], report: InsertReport) -> dict[str, Any]:
    record = InsertRecord(
        state=report.state,
        documents=dict(report.documents),
        errors=dict(report.errors),
        warnings=dict(report.warnings),
        by_operation=dict(report.by_operation),
        cost_usd=str(report.cost_usd),
    )
    warned = "; ".join(f"{name}: {why}" for name, why in report.warnings.items()) or None
    reason = warned if report.state == "done" else report.reason
    return {
        **_nothing_inserted(options),
        "insert": record,
        "attempts": report.attempts,
        "degraded": reason is not None,
        "degraded_reason": reason,
    }


def _retrieved_record(found: Retrieved | None) -> RetrievedRecord:
    if found is None:
        return RetrievedRecord(references=[], entities=[], relations=[], chunks=[])
    return RetrievedRecord(
        references=found.references,
        entities=found.entities,
        relations=found.relations,
        chunks=found.chunks,
    )
