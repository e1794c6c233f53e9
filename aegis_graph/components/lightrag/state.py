"""What LightRAG's graphs take and give."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from langgraph.channels import EphemeralValue
from typing_extensions import TypedDict

from aegis_graph.components.lightrag.query import Mode
from aegis_graph.components.lightrag.spending import OperationCost
from aegis_graph.components.router_node import CommonInput, CommonOutput
from aegis_graph.types import AttemptRecord


class InsertRecord(TypedDict):
    """An ``InsertReport`` as JSON."""

    state: Literal["done", "stopped", "failed"]
    documents: dict[str, str]
    errors: dict[str, str]
    warnings: dict[str, str]
    """What is missing of documents that are done."""
    by_operation: dict[str, OperationCost]
    cost_usd: str


class RetrievedRecord(TypedDict):
    """What belongs to a question, as LightRAG describes it."""

    references: list[dict[str, str]]
    """``reference_id`` and ``file_path``."""
    entities: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    chunks: list[dict[str, Any]]


class LightRAGInsertInput(CommonInput, total=False):
    """What an insert takes."""

    documents: Required[dict[str, str]]
    """Texts by name."""


class LightRAGInsertOutput(CommonOutput):
    """What an insert gives."""

    insert: InsertRecord


class LightRAGQueryInput(CommonInput, total=False):
    """What a question takes."""

    question: Required[str]
    mode: Mode
    """``mix`` when absent."""
    only_retrieve: bool
    """Whether to stop before a model is asked to answer."""


class LightRAGQueryOutput(CommonOutput):
    """What a question gives."""

    question: str
    answer: str
    found: RetrievedRecord


class LightRAGInput(CommonInput, total=False):
    """Documents to insert first, a question to ask, or both."""

    documents: dict[str, str]
    question: str
    mode: Mode
    only_retrieve: bool


class LightRAGOutput(LightRAGQueryOutput, total=False):
    """What both give."""

    insert: InsertRecord


class LightRAGState(CommonInput, total=False):
    """The graphs' own state. What the request chose lives for one step, and is handed on."""

    documents: Annotated[dict[str, str], EphemeralValue]
    question: str
    mode: Annotated[Mode, EphemeralValue]
    only_retrieve: Annotated[bool, EphemeralValue]
    options: Annotated[dict[str, Any], EphemeralValue]
    prompt: Annotated[str, EphemeralValue]
    """LightRAG's instructions with what was found; empty when nothing is to be asked."""
    insert: InsertRecord
    found: RetrievedRecord
    answer: str
    attempts: list[AttemptRecord]
    degraded: bool
    degraded_reason: str | None
