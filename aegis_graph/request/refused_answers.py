"""What a model is told of the answers that other models gave to the same request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langchain_core.messages import BaseMessage, HumanMessage

from aegis_graph.request.request import Request
from aegis_graph.text.words import Language, language_of

_TOLD: Mapping[Language, str] = {
    "en": "Another answer was refused: {reasons}. Answer again without this fault.",
    "de": "Eine andere Antwort wurde abgelehnt: {reasons}. Antworte erneut ohne diesen Fehler.",
}


def with_reasons(request: Request, reasons: Sequence[str]) -> Request:
    """The request with the reasons behind its last message; its hash stays that of the caller's.

    Args:
        request: What the caller asked.
        reasons: Why answers were refused, each in one line.
    """
    if not reasons:
        return request
    *before, last = request.messages
    told = _TOLD[language_of(last.text)].format(reasons="; ".join(reasons))
    if not isinstance(last, HumanMessage):
        return request.with_messages([*request.messages, HumanMessage(told)])
    return request.with_messages([*before, _with_text(last, f"\n\n{told}")])


def _with_text(message: HumanMessage, text: str) -> BaseMessage:
    # Within the message: some templates refuse a second one of the same role.
    content = message.content
    parts = [*content, {"type": "text", "text": text}] if isinstance(content, list) else None
    return message.model_copy(update={"content": parts or f"{content}{text}"})
