"""Lets a model judge whether the sentences of an answer are supported by what they cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.config import get_stream_writer

from aegis_graph.components.answer_generator.citations import Citation, CitedSentence
from aegis_graph.components.prompts import prompts
from aegis_graph.components.router_node import RouterCall, RouterOutcome
from aegis_graph.text.json_text import repaired_json
from aegis_graph.text.words import Language, language_of

VERDICTS_SCHEMA: Mapping[str, Any] = {
    "title": "verdicts",
    "type": "object",
    "properties": {
        "verdicts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "supported": {"type": "boolean"}},
                "required": ["n", "supported"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["verdicts"],
    "additionalProperties": False,
}
"""What a provider that can answer in a schema is held to; one that cannot is not asked."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """One call for all sentences of an answer; what a model does not judge, the rule did."""

    instructions: Mapping[Language, Template]

    @classmethod
    def read(cls, folder: str | Path | None) -> Verifier:
        """Read its prompt; a user's folder wins."""
        return cls(prompts("answer_verifier", folder))

    def ask(self, state: Mapping[str, Any]) -> RouterCall:
        """The cited sentences with their quotes."""
        instructions = self.instructions[language_of(state["question"])].substitute()
        claims = "\n\n".join(
            # Counted over all sentences, those without a citation included, so that a verdict finds
            # its sentence again.
            _with_quotes(n, sentence, state["citations"])
            for n, sentence in enumerate(state["sentences"], start=1)
            if sentence["citations"]
        )
        messages = [SystemMessage(instructions), HumanMessage(claims)]
        return RouterCall(
            messages=messages,
            task="answer",
            options=state["options"],
            call_options={"response_schema": VERDICTS_SCHEMA},
        )

    def judge(self, state: Mapping[str, Any], outcome: RouterOutcome) -> dict[str, Any]:
        """Take the verdicts over; where there are none, keep the rule's and say so."""
        verdicts = _verdicts(outcome.text)
        sentences = [
            _judged(sentence, verdicts.get(n))
            for n, sentence in enumerate(state["sentences"], start=1)
        ]
        attempts = [*state["attempts"], *outcome.attempts]
        update: dict[str, Any] = {"sentences": sentences, "attempts": attempts}
        # What no source is cited for is not shown to the model, and keeps the rule's verdict.
        unjudged = [one for one in sentences if one["citations"] and one["reason"] != "model"]
        if unjudged:
            why = outcome.error or f"no verdict on {len(unjudged)} of its sentences"
            update |= {
                "degraded": True,
                "degraded_reason": f"judged by rule, not by a model: {why}",
            }
        return emit_citations(state, update)


def emit_citations(state: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Send the checked answer to callers that stream, after its tokens."""
    final = {**state, **update}
    shown = ("answer", "citations", "sentences", "removed")
    get_stream_writer()({"event": "citations", **{key: final[key] for key in shown}})
    return dict(update)


def _with_quotes(n: int, sentence: CitedSentence, citations: Sequence[Citation]) -> str:
    quotes = [" ".join(citations[at]["quote"].split()) for at in sentence["citations"]]
    return "\n".join([f"{n}. {sentence['text']}", *(f'   Quote: "{quote}"' for quote in quotes)])


def _judged(sentence: CitedSentence, supported: bool | None) -> CitedSentence:
    if supported is None or not sentence["citations"]:
        return sentence
    return {**sentence, "supported": supported, "reason": "model"}


def _verdicts(text: str) -> dict[int, bool]:
    """The verdicts of a reply that may be malformed, by the sentence's number."""
    found = repaired_json(text)
    rows = found.get("verdicts") if isinstance(found, dict) else found
    verdicts: dict[int, bool] = {}
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        n, supported = row.get("n"), row.get("supported")
        # A verdict in any other form is none, and leaves the rule's.
        if isinstance(n, int) and isinstance(supported, bool):
            verdicts[n] = supported
    return verdicts
