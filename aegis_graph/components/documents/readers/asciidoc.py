"""AsciiDoc, read as text with headings, lists, listings and tables, line by line.

Nothing is included or evaluated. Every line keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.rows import markdown_table

_HEADING = re.compile(r"(={1,6})\s+(\S.*)")
_ATTRIBUTE = re.compile(r":!?[\w-]+!?:(?:\s.*)?$")
_MACRO = re.compile(r"(?:include|toc|ifdef|ifndef|ifeval|endif|image)::.*\[.*\]\s*$")
_BLOCK_LINE = re.compile(r"\[[^\]]*\]\s*$|\.(?=[^\s.])|//")
_LISTING = re.compile(r"(-{4,}|\.{4,}|```+)[\w,]*\s*$")
_COMMENT = re.compile(r"/{4,}\s*$")
_FRAME = re.compile(r"(?:={4,}|\*{4,}|_{4,}|\+{4,}|--)\s*$")
_TABLE = re.compile(r"[|,:!]={3,}\s*$")
_SOURCE = re.compile(r"\[source,\s*(\w+)")
_COLUMNS = re.compile(r"""\[.*cols\s*=\s*"?([^"\]]+)""")
_CELL = re.compile(r"(?<!\\)\|")
_LIST = re.compile(r"(\*{1,5}|\.{1,5})\s+")
_LINK = re.compile(r"(?:link:|xref:)?(?:https?://)?[\w./#:%?=&~-]+\[([^\]^]+)\^?\]")


def read(raw: RawDocument) -> Content:
    """The text, its marks as in Markdown."""
    text = decode(raw.data)
    title = next((line[2:].strip() for line in text.split("\n") if line.startswith("= ")), "")
    return Content([Section(text="\n".join(_lines(text)), first_line=1)], title)


def _lines(text: str) -> Iterator[str]:
    lines = iter(text.split("\n"))
    language, columns = "", 0
    for line in map(str.rstrip, lines):
        if _COMMENT.match(line):
            yield from [""] * len(_until(line, lines))
            yield ""
        elif listing := _LISTING.match(line):
            inside = _until(listing[1], lines)
            yield from (f"```{language}", *inside[:-1], "```")
        elif _TABLE.match(line):
            yield from _table(["", *_until(line, lines)], columns)
        else:
            yield _line(line)
        source, named = _SOURCE.match(line), _COLUMNS.match(line)
        language = source[1] if source else ""
        # A block's attributes stand right above it, or above its title.
        columns = _count(named[1]) if named else columns * line.startswith((".", "["))


def _until(closing: str, lines: Iterator[str]) -> list[str]:
    """The lines up to the one that closes a block, with it."""
    inside = []
    for line in lines:
        inside.append(line)
        if line.rstrip() == closing:
            break
    return inside


def _table(lines: list[str], columns: int) -> Iterator[str]:
    """As many lines as the table had: its rows, then empty ones."""
    cells = [
        [_prose(cell.strip()) for cell in _CELL.split(line)[1:]]
        for line in lines
        if line.startswith("|") and not _TABLE.match(line)
    ]
    # A row may stand in one line or a cell in each; the first line says which.
    columns = columns or len(cells[0] if cells else ())
    flat = [cell for row in cells for cell in row]
    rows = [flat[start : start + columns] for start in range(0, len(flat), max(columns, 1))]
    found = markdown_table(rows).split("\n") if rows else []
    yield from found
    yield from [""] * (len(lines) - len(found))


def _count(columns: str) -> int:
    """How many columns `1,2*,>3` or `3*` are."""
    repeated = re.fullmatch(r"(\d+)\*.*", columns)
    return int(repeated[1]) if repeated else columns.count(",") + 1


def _line(line: str) -> str:
    if heading := _HEADING.match(line):
        return f"{'#' * len(heading[1])} {heading[2]}"
    if item := _LIST.match(line):
        return f"{'  ' * (len(item[1]) - 1)}- {_prose(line[item.end() :])}"
    dropped = (_ATTRIBUTE, _MACRO, _FRAME, _TABLE)
    if any(one.match(line) for one in dropped):
        return ""
    # A block's own title is said, its attributes are not.
    if _BLOCK_LINE.match(line):
        return line[1:] if line.startswith(".") else ""
    return "" if line == "+" else _prose(line)


def _prose(line: str) -> str:
    return _LINK.sub(r"\1", line) if "[" in line else line
