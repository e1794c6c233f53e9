"""OpenAI's Batch API, and DashScope's form of it: what its objects and its lines look like. Pure.

DashScope's has the same paths below ``/compatible-mode/v1``, a longer window, names in ``ds_name``,
and ids that say what a file is: https://help.aliyun.com/en/model-studio/batch-interfaces-compatible-with-openai
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aegis_graph.testing.wires.wire import CREATED, to_json

COMPATIBLE_ROOT = "/compatible-mode/v1"
"""Below which DashScope speaks OpenAI's protocol."""

ENDPOINT = "/v1/chat/completions"
"""The one that lines are played for."""

MAX_LINES = 50_000
"""Requests of one file, in both: https://developers.openai.com/api/docs/guides/batch."""

DAY_S = 86_400

_WINDOW = re.compile(r"(\d+)([hd])")


class BatchDialect(NamedTuple):
    """In what the two differ."""

    root: str
    most_window_h: int
    """The longest window, in hours; the shortest is a day in both."""
    file_id: str
    output_id: str
    most_name: int | None
    """Characters of ``ds_name``."""


OPENAI = BatchDialect("/v1", 24, "file-{}", "file-{}", None)
DASHSCOPE = BatchDialect(COMPATIBLE_ROOT, 336, "file-batch-{}", "file-batch_output-{}", 100)


@dataclass(frozen=True, slots=True)
class PlayedLine:
    """A request in a file."""

    custom_id: str
    body: dict[str, Any]


def dialect_of(path: str) -> BatchDialect:
    """Whose form a request is in."""
    return DASHSCOPE if path.startswith(f"{COMPATIBLE_ROOT}/") else OPENAI


def file_object(file_id: str, name: str, size: int, purpose: str) -> dict[str, Any]:
    """A file, as it is listed."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": CREATED,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }


def window_problem(dialect: BatchDialect, window: object) -> str | None:
    """What is wrong with a completion window, if anything is."""
    found = _WINDOW.fullmatch(window) if isinstance(window, str) else None
    hours = int(found[1]) * (24 if found[2] == "d" else 1) if found else 0
    if 24 <= hours <= dialect.most_window_h:
        return None
    return f"completion_window: {window!r} is not from 24h to {dialect.most_window_h}h"


def metadata_problem(dialect: BatchDialect, metadata: object) -> str | None:
    """What is wrong with the metadata of a batch, if anything is."""
    pairs = metadata or {}
    if not isinstance(pairs, dict) or len(pairs) > 16:
        return "metadata: at most 16 pairs"
    if not all(isinstance(one, str) and len(one) <= 512 for one in pairs.values()):
        return "metadata: a value is text of at most 512 characters"
    if dialect.most_name is not None and len(pairs.get("ds_name", "")) > dialect.most_name:
        return f"metadata: ds_name has at most {dialect.most_name} characters"
    return None


def read_lines(text: bytes, endpoint: str) -> tuple[list[PlayedLine], list[dict[str, Any]]]:
    """The requests of a file, and what is wrong with it, as a batch that failed says it."""
    lines: list[PlayedLine] = []
    problems = []
    for number, raw in enumerate(text.splitlines(), start=1):
        problem, line = _read_line(raw, endpoint)
        if line is not None:
            lines.append(line)
        if problem is not None:
            problems.append(_problem(problem, number))
    if len({one.custom_id for one in lines}) < len(lines):
        problems.append(_problem("duplicate_custom_id", None))
    if len({one.body.get("model") for one in lines}) > 1:
        problems.append(_problem("mismatched_model", None))
    if not lines or len(lines) > MAX_LINES:
        problems.append(_problem("invalid_request_count", None))
    return lines, problems


def _read_line(raw: bytes, endpoint: str) -> tuple[str | None, PlayedLine | None]:
    try:
        row = json.loads(raw)
    except ValueError:
        return "invalid_json_line", None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        return "missing_required_parameter", None
    if row.get("method") != "POST" or row.get("url") != endpoint:
        return "invalid_url", None
    body = row.get("body")
    if not isinstance(body, dict) or not body.get("model"):
        return "missing_required_parameter", None
    if body.get("stream"):
        return "invalid_request", None
    return None, PlayedLine(row["custom_id"], body)


def _problem(code: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "line": line, "message": f"loopback server: {code}", "param": None}


def answered_line(number: int, custom_id: str, status: int, body: Any) -> bytes:
    """What the output or the error file has of a request that was carried out."""
    response = {"status_code": status, "request_id": f"req_{number}", "body": body}
    return _line(number, custom_id, response, None)


def unanswered_line(number: int, custom_id: str, code: str) -> bytes:
    """What the error file has of a request that was not: ``batch_expired``, ``batch_cancelled``."""
    return _line(number, custom_id, None, {"code": code, "message": f"loopback server: {code}"})


def _line(number: int, custom_id: str, response: Any, error: Any) -> bytes:
    head = {"id": f"batch_req_{number}", "custom_id": custom_id}
    return to_json({**head, "response": response, "error": error}) + b"\n"


def batch_object(batch_id: str, asked: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    """A batch, as it is listed.

    Args:
        batch_id: Its name.
        asked: What it was created with.
        state: Its status, counts, files and errors.
    """
    status = state["status"]
    ended = {"completed", "expired", "cancelled", "failed", "cancelling"}
    times = {f"{name}_at": CREATED if name == status else None for name in sorted(ended)}
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": asked["endpoint"],
        "input_file_id": asked["input_file_id"],
        "completion_window": asked["completion_window"],
        "created_at": CREATED,
        "in_progress_at": None if status == "validating" else CREATED,
        "expires_at": CREATED + DAY_S,
        "finalizing_at": None,
        **times,
        "metadata": asked.get("metadata"),
        **state,
    }
