"""Answers a question from documents, and checks what it says: ``create_answer_generator``.

```mermaid
graph TD
  START --> prepare
  prepare -. relevant .-> generate
  prepare -. nothing relevant .-> decline
  generate --> cite
  cite -. verify="model" .-> verify
  cite --> END
  verify --> END
  decline --> END
```

``generate`` and ``verify`` hold the router. When no provider answers, ``generate`` quotes the
documents by rule and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Command

from aegis_graph.chat.profile import providers_in_force
from aegis_graph.components.answer_generator.attribution import check_answer, is_soon_checked
from aegis_graph.components.answer_generator.citations import cite
from aegis_graph.components.answer_generator.shown_passages import room_of, shown_passages
from aegis_graph.components.answer_generator.state import (
    AnswerInput,
    AnswerOutput,
    AnswerState,
)
from aegis_graph.components.answer_generator.texts import AnswerTexts
from aegis_graph.components.answer_generator.verification import Verifier, emit_citations
from aegis_graph.components.documents.langchain import (
    passages_of,
    read_documents,
    with_highest_sensitivity,
)
from aegis_graph.components.router_node import (
    RouterCall,
    RouterGraph,
    RouterOutcome,
    ask_router,
    no_model_reason,
    options_of,
    question_of,
)
from aegis_graph.concurrency.inline_node import InlineNode
from aegis_graph.providers.extractive.notices import NOTICES as EXTRACTIVE_NOTICES
from aegis_graph.routing.walking.walked_graph import WalkedGraph
from aegis_graph.text.passages import NumberedPassage, format_question
from aegis_graph.text.question_parts import parts_of
from aegis_graph.text.quotes import quoted_lines
from aegis_graph.text.support import relevance as shared_words
from aegis_graph.text.words import Language, language_of

Relevance = Callable[[str, Document], float]
"""How relevant a document is to a question, from 0 to 1."""

THRESHOLD = 0.2
"""Share of a question's words that one document must have, by the rule that needs no model."""


_PASSAGES_HERE = "\n---\n"
"""What parts a prompt that has words to go before the passages."""

AnswerGenerator = CompiledStateGraph[AnswerState, None, AnswerInput, AnswerOutput]


def create_answer_generator(
    router: RouterGraph,
    *,
    threshold: float = THRESHOLD,
    relevance: Relevance | None = None,
    verify: Literal["rule", "model"] = "rule",
    prompts_folder: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "answer_generator",
) -> AnswerGenerator:
    """Build the graph that answers a question from documents and checks its citations.

    While streaming, the answer's tokens come as messages, as the model gives them, and then one
    custom event ``citations`` with the checked answer.

    Args:
        router: The compiled router; calls are tagged ``answer``.
        threshold: What one document at least must reach in ``relevance``; otherwise the answer is
            that there is none, and no provider is asked. 0 asks whenever there is a document.
        relevance: From 0 to 1; by default the share of the question's words that the document has,
            and 1 where the two are in different languages.
        verify: Whether each sentence is judged by rule alone, or by a model as well, which costs a
            second call.
        prompts_folder: A folder whose ``answer_generator.en.md`` and other prompts win.
        checkpointer: Where the graph keeps its state between steps, if anywhere.
        name: Name of the graph.

    Raises:
        ConfigError: A prompt of the folder is wrong.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> graph = create_answer_generator(create_router(RouterConfig()))
        >>> graph.invoke({"question": "Is it hard?", "documents": []})["answer"]
        'The documents do not answer this question.'
    """
    texts = AnswerTexts.read(prompts_folder)
    nodes = _Nodes(router, threshold, relevance or _shared_words, texts, verify)
    builder = StateGraph(AnswerState, input_schema=AnswerInput, output_schema=AnswerOutput)
    # An application's own rule may take its time.
    prepare: Any = nodes.prepare if relevance else InlineNode(nodes.prepare)
    builder.add_node("prepare", prepare, destinations=("generate", "decline"))
    builder.add_node("decline", InlineNode(nodes.decline))
    ask = ask_router(router, prepare=nodes.ask, conclude=nodes.draft, streamed=True)
    builder.add_node("generate", ask)
    cite_draft = InlineNode(nodes.cite, is_short=_is_soon_checked)
    after = ("verify", END) if verify == "model" else (END,)
    builder.add_node("cite", cite_draft, destinations=after)
    builder.add_edge(START, "prepare")
    builder.add_edge("decline", END)
    builder.add_edge("generate", "cite")
    if verify == "model":
        verifier = Verifier.read(prompts_folder)
        check = ask_router(router, prepare=verifier.ask, conclude=verifier.judge)
        builder.add_node("verify", check)
        builder.add_edge("verify", END)
    built = builder.compile(checkpointer=checkpointer, name=name)
    return WalkedGraph.of(built, router=router, asked=(relevance,))


@dataclass(frozen=True, slots=True)
class _Nodes:
    """What happens before and after the router is asked."""

    router: RouterGraph
    threshold: float
    relevance: Relevance
    texts: AnswerTexts
    verify: Literal["rule", "model"]

    def prepare(self, state: AnswerState) -> Command[Literal["generate", "decline"]]:
        """Check the input, and whether any document speaks of the question."""
        question = question_of(state)
        documents = read_documents(state.get("documents"))
        # One document that speaks of the question, or of a part of it, is enough to ask: the model
        # is shown all of them.
        relevant = any(
            self.relevance(asked, one) >= self.threshold
            for asked in (question, *(state.get("parts") or []))
            for one in documents
        )
        update = {
            # A thread still has the output of the question before.
            **_BLANK,
            "documents": documents,
            "relevant": relevant,
            "noted": [" ".join(note.split()) for note in state.get("notes") or []],
            "options": with_highest_sensitivity(options_of(state), documents),
        }
        return Command(goto="generate" if relevant else "decline", update=update)

    def decline(self, state: AnswerState) -> dict[str, Any]:
        """Say that the documents do not answer; no provider was asked."""
        text = self.texts.no_context[language_of(state["question"])].substitute()
        return emit_citations(state, {"answer": text})

    def ask(self, state: AnswerState) -> RouterCall:
        """The prompt: the numbered passages, the question, and what to do."""
        question, options, noted = state["question"], state["options"], state["noted"]
        room = room_of(providers_in_force(self.router), options)
        texts = self.texts.instructions
        if room.is_small:
            texts = self.texts.for_small
            if len(parts := parts_of(question)) > 1:
                texts, noted = self.texts.for_small_parts, [*noted, *parts]
        text = texts[language_of(question)].substitute()
        opening, _, instructions = text.rpartition(_PASSAGES_HERE)
        passages = passages_of(state["documents"])
        shown = shown_passages(question, passages, room, beside=[text, *noted])
        prompt = format_question(
            question,
            [one.passage for one in shown],
            numbers=[one.n for one in shown],
            notes=noted,
            opening=opening,
            instructions=instructions,
        )
        return RouterCall(messages=[HumanMessage(prompt)], task="answer", options=options)

    def draft(self, state: AnswerState, outcome: RouterOutcome) -> dict[str, Any]:
        """Take the answer, or quote the documents where there is none."""
        update = {
            "attempts": outcome.attempts,
            "skipped": outcome.skipped,
            "route_id": outcome.route_id,
        }
        if outcome.answer is None:
            reason = {"degraded": True, "degraded_reason": str(outcome.error)}
            return {**update, **reason, "refusal": outcome.refusal, "draft": self._quoted(state)}
        update["draft"] = outcome.text
        # The embedded provider is no language model: it quotes the documents.
        if outcome.answer.response_metadata.get("extractive"):
            return {**update, "degraded": True, "degraded_reason": no_model_reason(outcome)}
        return update

    def cite(self, state: AnswerState) -> Command[Literal["verify", "__end__"]]:
        """Check the draft's citations and its sentences, by rule."""
        question, passages = state["question"], passages_of(state["documents"])
        notices = self._notices(language_of(question))
        if state["degraded"]:
            # Quotes by rule have the documents' own words, and their numbers.
            cited = cite(state["draft"], passages, ignore=notices)
        else:
            model = state["attempts"][-1]["model"]
            checked = check_answer(question, state["draft"], passages, model=model, ignore=notices)
            if checked is None:
                return self._unsupported(state)
            cited = checked
        update: dict[str, Any] = {
            "answer": cited.text,
            "citations": cited.citations,
            "sentences": cited.sentences,
            "removed": cited.removed,
        }
        if not cited.is_whole:
            notice = self.texts.no_part[language_of(question)].substitute()
            reason = "no document bears out what the model answered to a part of the question"
            update |= {"answer": f"{cited.text} {notice}", "degraded": True}
            update["degraded_reason"] = reason
        # Only what a model wrote and cited is judged: quotes by rule have the documents' own words.
        if self.verify == "model" and cited.citations and not state["degraded"]:
            return Command(goto="verify", update=update)
        return Command(goto="__end__", update=emit_citations(state, update))

    def _unsupported(self, state: AnswerState) -> Command[Literal["verify", "__end__"]]:
        """Decline in place of an answer that no document bears out."""
        text = self.texts.no_context[language_of(state["question"])].substitute()
        reason = "no document bears out what the model answered"
        update = {"answer": text, "degraded": True, "degraded_reason": reason}
        return Command(goto="__end__", update=emit_citations(state, update))

    def _notices(self, language: Language) -> tuple[str, ...]:
        """The sentences that are about the answer, and claim nothing."""
        texts = (self.texts.no_context, self.texts.no_part, self.texts.degraded)
        return (*(text[language].substitute() for text in texts), *EXTRACTIVE_NOTICES)

    def _quoted(self, state: AnswerState) -> str:
        question = state["question"]
        language = language_of(question)
        passages = [
            NumberedPassage(n, one.location, one.text)
            for n, one in enumerate(passages_of(state["documents"]), start=1)
        ]
        lines = quoted_lines(question, passages)
        lines = lines or [self.texts.no_context[language].substitute()]
        return "\n".join([*lines, "", self.texts.degraded[language].substitute()])


_BLANK: Mapping[str, Any] = {
    "answer": "",
    "citations": [],
    "sentences": [],
    "removed": 0,
    "attempts": [],
    "skipped": [],
    "route_id": None,
    "refusal": None,
    "degraded": False,
    "degraded_reason": None,
}


def _is_soon_checked(state: AnswerState) -> bool:
    return is_soon_checked(state["draft"], [one.page_content for one in state["documents"]])


def _shared_words(question: str, document: Document) -> float:
    # A passage below a heading need not repeat what the heading says.
    heading = document.metadata.get("heading") or ""
    return shared_words(question, f"{heading}\n{document.page_content}")
