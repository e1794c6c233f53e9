"""Jupyter notebooks: the cells, and what they printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    fenced_code,
    unfit,
)
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.html import html_text
from aegis_graph.text.foreign import CONTROL_SEQUENCE

_OBJECT = re.compile(r"<[\w.]+ object(?: at 0x\w+)?>")
MAX_OUTPUT_CHARS = 2_000
"""Of one cell's output; what is longer is a log or a picture in disguise."""


def read(raw: RawDocument) -> Content:
    """Markdown cells as they are, code cells and their text outputs as blocks of code."""
    book = json.loads(decode(raw.data))
    if not isinstance(book, dict):
        raise unfit("broken", "not a notebook")
    language = str(_at(book, "metadata", "kernelspec", "language") or "python")
    # Before version 4, cells stood in worksheets.
    cells = book.get("cells") or [
        cell for sheet in book.get("worksheets") or [] for cell in sheet.get("cells") or []
    ]
    cells = [cell for cell in cells if isinstance(cell, Mapping)]
    texts = [text for cell in cells for text in _of_cell(cell, language) if text.strip()]
    title = next((text[2:].partition("\n")[0] for text in texts if text.startswith("# ")), "")
    return Content([Section(text="\n\n".join(texts))], title.strip())


def _of_cell(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell.get("source", cell.get("input")))
    kind = cell.get("cell_type")
    if kind == "heading":
        yield f"{'#' * int(cell.get('level') or 1)} {source}"
    elif kind != "code":
        yield source
    elif source.strip():
        yield fenced_code(source, language=language)
        for output in cell.get("outputs") or []:
            text = _output(output) if isinstance(output, Mapping) else ""
            yield f"Output:\n{fenced_code(text)}" if text.strip() else ""


def _output(output: Mapping[str, Any]) -> str:
    if output.get("output_type") in {"error", "pyerr"}:
        text = f"{output.get('ename')}: {output.get('evalue')}"
    else:
        text = _joined(output.get("text")) or _shown(output)
    text = CONTROL_SEQUENCE.sub("", text)
    return text if len(text) <= MAX_OUTPUT_CHARS else f"{text[:MAX_OUTPUT_CHARS]}\u2026"


def _shown(output: Mapping[str, Any]) -> str:
    """A result in the form that a reader sees; what stands for a drawn object says nothing."""
    forms = {name: _joined(_at(output, "data", f"text/{name}")) for name in ("plain", "markdown")}
    if forms["plain"] and not _OBJECT.fullmatch(forms["plain"].strip()):
        return forms["plain"]
    page = _joined(_at(output, "data", "text/html"))
    return forms["markdown"] or (html_text(page)[0] if page else "") or forms["plain"]


def _joined(value: object) -> str:
    if isinstance(value, list):
        return "".join(str(part) for part in value)
    return value if isinstance(value, str) else ""


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
