"""Presentations: each slide a section, with its tables and its speaker's notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pptx

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.rows import markdown_table

_MOST_NESTING = 20


def read(raw: RawDocument) -> Content:
    """The slides in their order."""
    open_archive(raw.data).close()
    slides = pptx.Presentation(io.BytesIO(raw.data)).slides
    shown = [
        (number, slide)
        for number, slide in enumerate(slides, start=1)
        if slide._element.get("show") not in ("0", "false")
    ]
    sections = [_section(slide, number) for number, slide in shown]
    title = next((section.heading for section in sections if section.heading), "")
    hidden = len(slides) - len(shown)
    notes = [f"{hidden} hidden {'slides' if hidden > 1 else 'slide'}"] if hidden else []
    return Content(sections, title, notes)


def _section(slide: Any, number: int) -> Section:
    shape = slide.shapes.title
    title = " ".join(shape.text_frame.text.split()) if shape is not None else ""
    blocks = [f"# {title}"] if title else []
    blocks += [text for one in slide.shapes for text in _texts(one, shape, 0) if text]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        blocks += [f"Notes: {notes}"] if notes else []
    return Section(text="\n\n".join(blocks), heading=title, slide=number)


def _texts(shape: Any, title: Any, depth: int) -> Iterator[str]:
    if title is not None and shape.shape_id == title.shape_id:
        return
    if hasattr(shape, "shapes") and depth < _MOST_NESTING:
        for one in shape.shapes:
            yield from _texts(one, None, depth + 1)
    elif shape.has_text_frame:
        yield _frame(shape.text_frame)
    elif getattr(shape, "has_table", False) and shape.has_table:
        yield markdown_table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif getattr(shape, "has_chart", False) and shape.has_chart:
        yield _chart(shape.chart)


def _frame(frame: Any) -> str:
    lines = [(one.level, " ".join(one.text.split())) for one in frame.paragraphs]
    lines = [(level, text) for level, text in lines if text]
    # Of one paragraph there is no list.
    if len(lines) < 2:
        return "".join(text for _, text in lines)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in lines)


def _chart(chart: Any) -> str:
    """What a chart shows, as a table."""
    title = chart.chart_title.text_frame.text if chart.has_title else ""
    for plot in chart.plots:
        series = list(plot.series)
        rows = [["", *(str(one.name) for one in series)]]
        for place, category in enumerate(plot.categories):
            values = [one.values[place] if place < len(one.values) else "" for one in series]
            rows.append([str(category), *("" if v is None else f"{v}" for v in values)])
        return f"{title}\n\n{markdown_table(rows)}".strip()
    return str(title)
