"""Rich Text Format, by striprtf: its words and the rows of its tables."""

from __future__ import annotations

import re

from striprtf.striprtf import rtf_to_text

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section, unfit
from aegis_graph.components.documents.readers.rows import markdown_table

_ROW = re.compile(r"[^|\n]*\|.*\|")
_BLANKS = re.compile(r"\n{3,}")


def read(raw: RawDocument) -> Content:
    """The text, with tables in Markdown; pictures are left out."""
    if not raw.data.lstrip().startswith(b"{\\rtf"):
        raise unfit("broken", "not a readable RTF file; repair it")
    # The format is in ASCII, and says in which encoding the rest of it is.
    text = rtf_to_text(raw.data.decode("latin-1"), errors="replace")  # type: ignore[no-untyped-call]
    return Content([Section(text=_BLANKS.sub("\n\n", _with_tables(text)).strip())])


def _with_tables(text: str) -> str:
    parts: list[str] = []
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        if _ROW.fullmatch(line):
            rows.append(line.split("|")[:-1])
            continue
        if rows:
            parts += ["", markdown_table(rows), ""]
            rows = []
        parts.append(line)
    return "\n".join(parts)
