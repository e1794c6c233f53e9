"""An answer made of quotes."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_graph.text.citation_marks import replace_citations
from aegis_graph.text.passages import NumberedPassage


def quoted_lines(question: str, passages: Sequence[NumberedPassage]) -> list[str]:
    """An answer made of quotes: a line for each, with the number of its passage.

    White space is one space, and a number in square brackets that the document itself has becomes
    ``[...]``, because it would read as one of ours. A table's row comes after its table's head.
    Code is one entry of several lines between fences, letter for letter; its number stands at the
    sentence before it, or in a line of its own where there is none.
    """
    # Imported here: its patterns take long to compile, and models rarely need it.
    from aegis_graph.text.quoting.choice import choose  # noqa: PLC0415

    lines: list[str] = []
    before = 0
    for piece in choose(question, passages):
        if piece.kind == "code":
            lines.append(_fenced(piece.text))
            lines += [] if before == piece.n else [f"[{piece.n}]"]
            continue
        for text in ([piece.table_head] if piece.table_head else []) + [piece.text]:
            line = f"{_shown(text)} [{piece.n}]"
            if line not in lines:
                lines.append(line)
        before = piece.n
    return lines


def _fenced(code: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}\n{code}\n{fence}"


def _shown(text: str) -> str:
    return replace_citations(" ".join(text.split()), lambda mark, _: f"{mark.space}[...]")
