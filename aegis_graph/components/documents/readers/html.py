"""HTML as text: title, headings, lists, tables and code; no scripts, menus or hidden parts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    fenced_code,
)
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.markup import without_traps
from aegis_graph.components.documents.readers.rows import cell_text, markdown_table, with_spans

_SKIPPED = {
    *(
        "script",
        "style",
        "nav",
        "noscript",
        "template",
        "svg",
        "math",
        "head",
        "title",
        "button",
        "select",
    ),
    *("option", "textarea", "iframe", "object", "canvas", "audio", "video", "dialog"),
}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html"),
    *("legend", "main", "ol", "p", "section", "summary", "ul"),
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MOST_INDENT = 6
_LONGEST_CELL = 600
_MOST_TABLES = 20
_MOST_COLUMNS = 20
_MOST_ROWS = 1_000


def read(raw: RawDocument) -> Content:
    """The text of a page."""
    text, title = html_text(decode(raw.data, declared=True))
    return Content([Section(text=text, heading=title)], title)


def html_text(markup: str) -> tuple[str, str]:
    r"""The text of a page as Markdown, and its title.

    Example:
        >>> html_text("<title>T</title><h1>A</h1><ul><li>one<li>two</ul>")
        ('# A\n\n- one\n- two', 'T')
    """
    with warnings.catch_warnings():
        # It warns of markup that looks like XML or like a file's name: both are read all the same.
        warnings.simplefilter("ignore")
        page = BeautifulSoup(without_traps(markup), "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    return _Writer().text_of(page), title


class _Writer:
    """Walks over a page without recursion: a page can be nested as deeply as it likes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._lists: list[int | None] = []
        """The lists that are open: the number of the next item, or ``None`` for bullets."""
        self._prefix = ""

    def text_of(self, root: Tag) -> str:
        for tag, entered in _events(root):
            if isinstance(tag, NavigableString):
                self._line.append(str(tag))
            elif entered:
                self._enter(tag)
            else:
                self._leave(tag)
        self._end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip()

    def _enter(self, tag: Tag) -> None:
        name = tag.name
        if name == "br":
            self._end_line()
        elif name == "pre":
            self._block(_fenced(tag))
        elif name == "table":
            self._block(_table(tag))
        elif name in _HEADINGS:
            self._end_block()
            self._prefix = f"{'#' * _HEADINGS[name]} "
        elif name == "li":
            self._end_line()
            self._prefix = self._item_mark()
        elif name in _BLOCKS:
            self._end_block(inside_list=name in {"ul", "ol", "p", "div"})
            if name in {"ul", "ol"}:
                self._lists.append(1 if name == "ol" else None)

    def _leave(self, tag: Tag) -> None:
        if tag.name in {"ul", "ol"} and self._lists:
            self._end_line()
            self._lists.pop()
            self._end_block(inside_list=True)
        elif tag.name in _HEADINGS:
            self._end_block()
        elif tag.name == "li":
            self._end_line()
        elif tag.name in _BLOCKS:
            self._end_block(inside_list=True)
        elif tag.name in {"td", "th", "table"}:
            self._end_line()

    def _item_mark(self) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), _MOST_INDENT)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _end_line(self) -> None:
        text = " ".join("".join(self._line).split())
        self._line = []
        if text:
            self._lines.append(self._prefix + text)
            self._prefix = ""

    def _end_block(self, *, inside_list: bool = False) -> None:
        self._end_line()
        # Items of a list stand together.
        if not (inside_list and self._lists):
            self._prefix = ""
            if self._lines and self._lines[-1]:
                self._lines.append("")

    def _block(self, text: str) -> None:
        self._end_block()
        if text:
            self._lines += [text, ""]


def _events(root: Tag) -> Iterator[tuple[Any, bool]]:
    """Each tag when it begins and when it ends, and each text; blocks and tables in one piece."""
    ahead: list[tuple[Any, bool]] = [(root, True)]
    open_tables = 0
    while ahead:
        node, entered = ahead.pop()
        if not isinstance(node, Tag):
            # Comments and declarations are preformatted strings too.
            if not isinstance(node, PreformattedString):
                yield node, True
        elif not entered:
            open_tables -= node.name == "table"
            yield node, False
        elif node.name in _SKIPPED or _is_hidden(node):
            continue
        elif node.name == "pre" or (node.name == "table" and _is_data(node, open_tables)):
            yield node, True
        else:
            open_tables += node.name == "table"
            # A table that lays out a page is no table to a reader.
            if node.name != "table":
                yield node, True
            ahead.append((node, False))
            ahead += [(child, True) for child in reversed(node.contents)]


def _is_hidden(tag: Tag) -> bool:
    role = tag.get("role")
    return (
        tag.has_attr("hidden")
        or role in {"navigation", "search", "menu"}
        or bool(_HIDDEN.search(str(tag.get("style") or "")))
    )


def _is_data(table: Tag, depth: int) -> bool:
    """Whether a table has rows of data; those that mails are built of hold parts of a page."""
    # Looking into each of many that are nested would take the square of their number.
    if depth > _MOST_TABLES or table.find(["table", "h1", "h2", "h3"]) is not None:
        return False
    rows = _rows(table)
    return bool(rows) and all(len(text) <= _LONGEST_CELL for row in rows for text in row)


def _table(table: Tag) -> str:
    caption = table.find("caption")
    text = markdown_table(_rows(table))
    if isinstance(caption, Tag) and text:
        return f"{cell_text(caption.get_text(' '))}:\n\n{text}"
    return text


def _rows(table: Tag) -> list[list[str]]:
    """The cells in the order of the file: where tags are not closed, cells seem to be nested."""
    rows: list[list[str]] = []
    spans: dict[tuple[int, int], int] = {}
    reached: dict[int, int] = {}
    """The row down to which a column is taken."""
    place = 0
    for node in table.descendants:
        name = node.name if isinstance(node, Tag) else ""
        if name == "tr":
            rows.append([])
        elif name in {"td", "th"} and rows:
            row, number = rows[-1], len(rows) - 1
            while reached.get(len(row), -1) >= number:
                row.append("")
            place, width, height = len(row), _span(node, "colspan"), _span(node, "rowspan")
            row += [""] * width
            if height > 1:
                spans[number, place] = height
                reached |= dict.fromkeys(range(place, place + width), number + height - 1)
        elif type(node) is NavigableString and rows and rows[-1]:
            rows[-1][place] += f"{node} "
    cells = [[cell_text(cell) for cell in row] for row in rows]
    return [row for row in with_spans(cells, spans) if row]


def _span(cell: Any, name: str) -> int:
    """How many rows or columns a cell takes; a page may claim any number."""
    value = str(cell.get(name) or "")
    most = _MOST_COLUMNS if name == "colspan" else _MOST_ROWS
    return min(max(int(value[:9]), 1), most) if value.isdecimal() else 1


def _fenced(tag: Tag) -> str:
    text = tag.get_text()
    if not text.strip():
        return ""
    inside = tag.find("code")
    names = " ".join(_classes(inside) if isinstance(inside, Tag) else _classes(tag))
    language = re.search(r"(?:language|lang|highlight-source)-(\w+)", names)
    return fenced_code(text, language=language[1] if language else "")


def _classes(tag: Tag) -> list[str]:
    found = tag.get("class")
    return [str(one) for one in found] if isinstance(found, list) else []
