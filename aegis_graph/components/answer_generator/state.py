"""What a caller gives the answer generator, what comes back, and what it keeps between."""

from __future__ import annotations

from typing import Annotated, Any, Required

from langchain_core.documents import Document
from langgraph.channels import EphemeralValue

from aegis_graph.components.answer_generator.citations import Citation, CitedSentence
from aegis_graph.components.router_node import CommonInput, CommonOutput, RefusalRecord
from aegis_graph.types import SkippedRecord


class AnswerInput(CommonInput, total=False):
    """What a caller gives. ``question`` and ``documents`` are required."""

    question: Required[str]
    documents: Required[list[Document]]
    """In the order of their numbers: ``[1]`` is the first. A thread keeps them."""
    notes: Annotated[list[str], EphemeralValue]
    """What was found out on the way to the question; shown to the model, never cited."""
    parts: Annotated[list[str], EphemeralValue]
    """Its sub-questions: a document that speaks of one of them is relevant as well."""


class AnswerOutput(CommonOutput):
    """What a caller gets."""

    answer: str
    """The text; every number in it is one of ``citations``."""
    citations: list[Citation]
    sentences: list[CitedSentence]
    removed: int
    """Numbers that the model gave and that point at no document."""
    relevant: bool
    """Whether any document speaks of the question; otherwise no provider was asked."""
    refusal: RefusalRecord | None
    """Why no provider answered; the documents are quoted by rule then."""
    skipped: list[SkippedRecord]
    route_id: str | None


class AnswerState(AnswerInput, AnswerOutput):
    """The graph's own state."""

    options: dict[str, Any]
    noted: list[str]
    draft: Annotated[str, EphemeralValue]
