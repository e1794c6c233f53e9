"""Word documents: headings, paragraphs, lists and tables, in their order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.rows import cell_text, markdown_table

_W_P, _W_TBL, _RUN = qn("w:p"), qn("w:tbl"), qn("w:r")
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_TEXTS = frozenset({qn("w:t"), _MATH})
_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_GONE = frozenset({qn("w:del"), qn("w:moveFrom"), qn("w:instrText"), qn("w:pPr"), qn("w:rPr")})
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TEXT_BOX = qn("w:txbxContent")
_MOST_NESTING = 20


def read(raw: RawDocument) -> Content:
    """The text of the document's body, with its footnotes at the end."""
    open_archive(raw.data).close()
    document = docx.Document(io.BytesIO(raw.data))
    styles = {style.style_id: str(style.name or "") for style in document.styles}
    blocks = [*_blocks(document.element.body, styles, 0), *_notes(document, styles)]
    title = next((text[2:] for text in blocks if text.startswith("# ")), "")
    return Content([Section(text=_joined(blocks))], title)


def _joined(blocks: list[str]) -> str:
    """Items of a list stand together, all else is apart."""
    text = ""
    for before, block in zip(["", *blocks], blocks, strict=False):
        both_items = before.lstrip().startswith("- ") and block.lstrip().startswith("- ")
        text += block if not before else ("\n" if both_items else "\n\n") + block
    return text


def _blocks(parent: Any, styles: dict[str, str], depth: int) -> Iterator[str]:
    # A document may be nested on purpose, deeper than Python follows.
    if depth > _MOST_NESTING:
        return
    for child in parent:
        if child.tag == _W_P:
            yield from _paragraph(child, styles, depth)
        elif child.tag == _W_TBL:
            if table := _table(child, styles, depth):
                yield table
        # Content controls, custom XML and text that was inserted wrap blocks.
        elif child.tag not in _GONE and len(child):
            yield from _blocks(child, styles, depth + 1)


def _paragraph(paragraph: Any, styles: dict[str, str], depth: int) -> Iterator[str]:
    text = _text(paragraph).strip()
    style = _value(paragraph, "w:pPr/w:pStyle")
    name = styles.get(style, style).casefold()
    if text and name == "title":
        yield f"# {' '.join(text.split())}"
    elif text and name.startswith("heading ") and name[8:].isdigit():
        yield f"{'#' * min(int(name[8:]), 6)} {' '.join(text.split())}"
    elif text and (name.startswith("list") or paragraph.find("w:pPr/w:numPr", _NS) is not None):
        level = _value(paragraph, "w:pPr/w:numPr/w:ilvl")
        yield f"{'  ' * min(int(level) if level.isdigit() else 0, 6)}- {text}"
    elif text:
        yield text
    for box in paragraph.iter(_TEXT_BOX):
        # Word writes a text box twice, the second time for programs of its past.
        if not any(above.tag == _FALLBACK for above in box.iterancestors()):
            yield from _blocks(box, styles, depth + 1)


_NS = {"w": qn("w:p")[1:].partition("}")[0]}


def _value(element: Any, path: str) -> str:
    found = element.find(path, _NS)
    return "" if found is None else str(found.get(qn("w:val")) or "")


def _text(paragraph: Any) -> str:
    """What a reader sees: with insertions and links, without what was deleted."""
    parts: list[str] = []
    ahead = list(reversed(paragraph))
    while ahead:
        node = ahead.pop()
        if node.tag in _TEXTS:
            parts.append(node.text or "")
        elif node.tag in _BREAKS:
            parts.append(_BREAKS[node.tag])
        elif node.tag == _RUN and _is_hidden(node):
            continue
        elif node.tag not in _GONE and node.tag not in {_FALLBACK, _TEXT_BOX}:
            ahead += reversed(node)
    return "".join(parts)


def _is_hidden(run: Any) -> bool:
    mark = run.find("w:rPr/w:vanish", _NS)
    return mark is not None and mark.get(qn("w:val")) not in ("0", "false", "off")


def _table(table: Any, styles: dict[str, str], depth: int) -> str:
    rows: list[list[str]] = []
    for row in _own(table, "w:tr", of="w:tbl"):
        cells: list[str] = []
        for cell in _own(row, "w:tc", of="w:tr"):
            above, merged = rows[-1] if rows else [], cell.find("w:tcPr/w:vMerge", _NS)
            # It goes on with the cell above.
            if merged is not None and merged.get(qn("w:val")) in (None, "continue"):
                cells += above[len(cells) : len(cells) + 1] or [""]
                continue
            cells.append(cell_text("\n".join(_blocks(cell, styles, depth + 1))))
            span = _value(cell, "w:tcPr/w:gridSpan")
            cells += [""] * (min(int(span), 64) - 1 if span.isdigit() else 0)
        rows.append(cells)
    return markdown_table(rows)


def _own(parent: Any, tag: str, *, of: str) -> Iterator[Any]:
    """The rows of a table or the cells of a row, but not those of a table inside of a cell."""
    for one in parent.iter(qn(tag)):
        if next(above for above in one.iterancestors() if above.tag == qn(of)) is parent:
            yield one


def _notes(document: Any, styles: dict[str, str]) -> Iterator[str]:
    for relation in document.part.rels.values():
        if relation.reltype.endswith(("/footnotes", "/endnotes")) and not relation.is_external:
            root = parse_xml(relation.target_part.blob)
            yield from _blocks(root, styles, 0)
