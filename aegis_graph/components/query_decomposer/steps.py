"""One sub-question on its way: looked up in a source, and answered in a few words where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from aegis_graph.components.documents.langchain import passages_of, with_highest_sensitivity
from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.components.query_decomposer.plan import PlanStep
from aegis_graph.components.retriever.search import SearchResult, Source, search
from aegis_graph.components.router_node import RouterCall, RouterOutcome
from aegis_graph.errors import RoutingError
from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.passages import NumberedPassage, format_question
from aegis_graph.text.quotes import quoted_lines
from aegis_graph.text.words import Language, language_of
from aegis_graph.types import AttemptRecord

_UNKNOWN = frozenset({"unknown", "unbekannt", ""})


class StepResult(TypedDict):
    """What came of one sub-question."""

    id: int
    question: str
    """With the earlier answers in their places."""
    needs: list[int]
    answer: str | None
    """In a few words, where a later step needed it or the source gave one."""
    documents: list[Document]
    attempts: list[AttemptRecord]
    degraded_reason: str | None


class Lookup(TypedDict):
    """What ``Send`` carries to a step's nodes."""

    step: PlanStep
    question: str
    """With the earlier answers in their places."""
    is_needed: bool
    """Whether a later step needs its answer."""
    options: dict[str, Any]
    result: StepResult | None
    """What was looked up, for the node that answers from it."""


def lookup_node(source: Source) -> Runnable[Any, Any]:
    """Build the node that looks one step up; a graph that it asks is drawn inside it."""

    async def run(
        source: Source, lookup: Lookup, config: RunnableConfig, call: DualCall
    ) -> Command[Any]:
        try:
            found = await search(source, lookup["question"], lookup["options"], config, call)
        except RoutingError as error:
            found = _refused(error)
        return _after(lookup, found)

    return dual_node(source, run)


@dataclass(frozen=True, slots=True)
class StepAnswers:
    """The answer to a step in a few words, for the steps that need it."""

    instructions: Mapping[Language, Template]

    def ask(self, lookup: Lookup) -> RouterCall:
        """The prompt: the step's documents and its question."""
        question, result = lookup["question"], lookup["result"]
        assert result is not None, "only a step that was looked up comes here"
        instructions = self.instructions[language_of(question)].substitute()
        prompt = format_question(
            question, passages_of(result["documents"]), instructions=instructions
        )
        messages = [HumanMessage(prompt)]
        options = with_highest_sensitivity(lookup["options"], result["documents"])
        return RouterCall(messages=messages, task="decompose", options=options)

    def note(self, lookup: Lookup, outcome: RouterOutcome) -> dict[str, Any]:
        """Take the answer; quote the documents by rule where no model gives one."""
        result = lookup["result"]
        assert result is not None, "only a step that was looked up comes here"
        done: StepResult = {**result, "attempts": [*result["attempts"], *outcome.attempts]}
        if outcome.answer is None or outcome.answer.response_metadata.get("extractive"):
            why = outcome.error or "no language model answered"
            # The embedded provider is no language model: its quote is made here, without its
            # notices.
            done["degraded_reason"] = f"step {result['id']} was answered by a quote: {why}"
            done["answer"] = _quote(lookup["question"], result["documents"])
        else:
            done["answer"] = _short(outcome.text, len(result["documents"]))
        return {"results": _done(done)}


def _after(lookup: Lookup, found: SearchResult) -> Command[Any]:
    step = lookup["step"]
    result = StepResult(
        id=step["id"],
        question=lookup["question"],
        needs=step["needs"],
        answer=found.answer,
        documents=found.documents,
        attempts=found.attempts,
        degraded_reason=found.degraded_reason,
    )
    # A short answer is bought only where a later step waits for it.
    if lookup["is_needed"] and found.answer is None and found.documents:
        onward: Lookup = {**lookup, "result": result}
        return Command(goto=Send("note", onward))
    return Command(goto="dispatch", update={"results": _done(result)})


def _done(result: StepResult) -> dict[str, StepResult]:
    """Send the step to callers that stream."""
    shown = {"id": result["id"], "question": result["question"], "answer": result["answer"]}
    get_stream_writer()({"event": "step", **shown})
    return {str(result["id"]): result}


def _refused(error: RoutingError) -> SearchResult:
    attempts = cast("list[AttemptRecord]", error.attempts)
    return SearchResult(attempts=attempts, degraded_reason=str(error))


def _short(text: str, count: int) -> str | None:
    """A model's short answer: its first line without citations; ``None`` when it knows none."""
    bare = replace_citations(text, lambda mark, numbers: "", count=count).strip()
    line = bare.splitlines()[0].strip() if bare else ""
    # What the prompt asks for where the passages do not say it.
    return None if line.rstrip(".!").casefold() in _UNKNOWN else line


def _quote(question: str, documents: Sequence[Document]) -> str | None:
    numbered = [
        NumberedPassage(n, one.location, one.text)
        for n, one in enumerate(passages_of(documents), start=1)
    ]
    lines = quoted_lines(question, numbered)
    return _short(lines[0], len(documents)) if lines else None
