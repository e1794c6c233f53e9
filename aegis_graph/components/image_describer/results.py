"""What is asked about an image, and how the answer becomes a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage
from typing_extensions import TypedDict

from aegis_graph.components.image_describer.colors import Colour
from aegis_graph.text.json_text import repaired_object
from aegis_graph.text.reasoning import spoken_part
from aegis_graph.types import CUT_OFF, FINISH_REASON, AttemptRecord, ResultKind, SkippedRecord

STRUCTURED: frozenset[ResultKind] = frozenset({"description", "chart"})
"""Asked for as JSON. The others are transcriptions, which quoting as JSON would only spoil."""

ONLY_OCR = "no model looked at it: only the text in it was recognized"
CUT = "the answer was cut at the cap of output tokens"
NOT_STRUCTURED = "the answer was not the JSON that was asked for"


class ImageResult(TypedDict):
    """What is known of one image. JSON."""

    source: str
    """Its path, with page and number for a picture of a PDF."""
    sha256: str | None
    """Of its bytes; ``None`` where they cannot be read."""
    kind: ResultKind
    description: str
    """In sentences; empty for transcriptions, and where only text was recognized."""
    text: str
    """What is written in it; the tables of ``table`` and the data of ``chart`` as Markdown."""
    objects: list[str]
    colours: list[Colour]
    """The largest area first."""
    colours_by: Literal["model", "computed"]
    """Whether a model named them, or the picture's pixels were counted."""
    method: Literal["model", "ocr"] | None
    """``None`` where no provider answered."""
    lines: list[dict[str, Any]]
    """Of text recognition: each line with its four corners in pixels, and a score from 0 to 1."""
    provider: str | None
    model: str | None
    cost_usd: str
    """Of this run, failed attempts included, as decimal text; 0 where it was kept from before."""
    kept: bool
    """Whether the answer comes from an earlier run, or from the same image earlier in this one."""
    degraded: bool
    degraded_reason: str | None
    error: str | None
    """Why there is no answer, in one line."""
    error_type: str | None
    """Name of the error's class."""
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    """The providers that were not asked, and why."""
    route_id: str | None


def failed_result(
    source: str, kind: ResultKind, error: str, *, error_type: str, sha256: str | None = None
) -> ImageResult:
    """The result of an image without an answer."""
    return ImageResult(
        source=source,
        sha256=sha256,
        kind=kind,
        description="",
        text="",
        objects=[],
        colours=[],
        colours_by="computed",
        method=None,
        lines=[],
        provider=None,
        model=None,
        cost_usd="0",
        kept=False,
        degraded=False,
        degraded_reason=None,
        error=error,
        error_type=error_type,
        attempts=[],
        skipped=[],
        route_id=None,
    )


def read_answer(
    answer: AIMessage, kind: ResultKind, *, source: str, sha256: str, counted: Sequence[Colour]
) -> ImageResult:
    """The result that an answer of the router gives.

    Args:
        answer: Signed by the router.
        kind: What was asked.
        source: Where the image is, for people.
        sha256: Of the image.
        counted: Its colours, for when no model named them.
    """
    facts = answer.response_metadata
    is_ocr = bool(facts.get("ocr"))
    fields, fault = _ocr_fields(facts) if is_ocr else _model_fields(answer, kind)
    if facts.get(FINISH_REASON) == CUT_OFF:
        fault = CUT
    named = [Colour(name=name, hex=None, share=None) for name in fields.get("colours", [])]
    # Every field is set, whatever the answer lacks.
    blank = failed_result(source, kind, "", error_type="", sha256=sha256)
    return {
        **blank,
        "description": fields.get("description", ""),
        "text": fields.get("text", ""),
        "objects": fields.get("objects", []),
        "lines": fields.get("lines", []),
        # Pixels are counted in any case, for answers that name no colour.
        "colours": named or list(counted),
        "colours_by": "model" if named else "computed",
        "method": "ocr" if is_ocr else "model",
        "provider": facts.get("provider"),
        "model": facts.get("model"),
        "degraded": fault is not None,
        "degraded_reason": fault,
        "error": None,
        "error_type": None,
    }


def _ocr_fields(facts: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    return {"text": facts["text"], "lines": facts["lines"]}, ONLY_OCR


def _model_fields(answer: AIMessage, kind: ResultKind) -> tuple[dict[str, Any], str | None]:
    text = spoken_part(answer.text).strip()
    # A transcription is taken as it stands, apart from a fence around all of it.
    if kind not in STRUCTURED:
        return {"text": _without_fence(text)}, None
    found = repaired_object(text) or {}
    if not {"description", "text"} & found.keys():
        return {"description": text}, NOT_STRUCTURED
    return {
        "description": _text(found.get("description")),
        "text": _text(found.get("text")),
        "objects": _texts(found.get("objects")),
        # Models spell the key either way.
        "colours": _texts(found.get("colours") or found.get("colors")),
    }, None


def _without_fence(text: str) -> str:
    lines = text.splitlines()
    if len(lines) >= 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    return text


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(_texts(value))
    return value.strip() if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    """A list of short texts, each once, whatever a model made of it."""
    rows = value if isinstance(value, list) else [value]
    names = [row.get("name") if isinstance(row, dict) else row for row in rows]
    return list(dict.fromkeys(name.strip() for name in names if isinstance(name, str) and name))
