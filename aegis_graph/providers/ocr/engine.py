"""Reads the text in a picture on this machine, with RapidOCR and the models in its wheel."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aegis_graph.providers.ocr.telemetry import switch_telemetry_off
from aegis_graph.request.image_slices import open_slices, owned_rows

INSTALL = "pip install 'aegis-graph[ocr]'"
"""The line that installs the engine with its models."""

REINSTALL = "pip install --force-reinstall rapidocr"
"""The line that brings back models that are missing; the engine itself would download them."""

_MODELS = {"Det": "*_det_*.onnx", "Rec": "*_rec_*.onnx"}
"""Finds text, and reads it. The wheel's third model, which tells whether a line is upside down,
turned one line in twenty of clean pages the wrong way (see ``benchmarks/vision.py``): whole pages
are turned instead, where they read badly."""

UPRIGHT_SCORE = 0.85
"""The mean score of a page that is the right way up; upside down it was at most 0.75."""

_PACKAGES = ("rapidocr", "onnxruntime")


class TextLine(NamedTuple):
    """A piece of text that stands alone, and where it is."""

    text: str
    box: tuple[tuple[float, float], ...]
    """Its four corners in pixels of the upright image, clockwise from the text's upper left."""
    score: float
    """How sure the engine is, from 0 to 1."""

    @property
    def top(self) -> float:
        """Its upper edge."""
        return min(y for _, y in self.box)

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return max(y for _, y in self.box)

    @property
    def left(self) -> float:
        """Its left edge."""
        return min(x for x, _ in self.box)

    @property
    def right(self) -> float:
        """Its right edge."""
        return max(x for x, _ in self.box)

    def moved_down(self, rows: int) -> TextLine:
        """The same line in a picture that has so many rows above it."""
        return self._replace(box=tuple((x, y + rows) for x, y in self.box))


class Page(NamedTuple):
    """What is written in a picture."""

    text: str
    lines: list[TextLine]
    """Where it is, in the picture as it came."""


def missing_package() -> str | None:
    """The line that installs what is missing, or ``None`` where all is there."""
    if not all(importlib.util.find_spec(name) for name in _PACKAGES):
        return INSTALL
    return None if len(_model_files()) == len(_MODELS) else REINSTALL


def _model_files() -> dict[str, Path]:
    spec = importlib.util.find_spec("rapidocr")
    folders = spec.submodule_search_locations if spec else None
    found = {}
    for folder in folders or ():
        for stage, pattern in _MODELS.items():
            files = sorted(Path(folder, "models").glob(pattern))
            if len(files) == 1:
                found[stage] = files[0]
    return found


class OcrEngine:
    """The two models, loaded. One picture at a time: they use all cores already.

    Nothing about it leaves this machine: the telemetry of its runtime is switched off first.

    Raises:
        ModuleNotFoundError: The extra is not installed, or its models are gone. Nothing is
            downloaded.
        ConfigError: The application imported onnxruntime with its telemetry on.
    """

    def __init__(self) -> None:
        if (install := missing_package()) is not None:
            raise ModuleNotFoundError(f"text recognition needs: {install}", name="rapidocr")
        switch_telemetry_off()
        from rapidocr import RapidOCR  # noqa: PLC0415  heavy, and an extra

        models = {f"{stage}.model_path": str(path) for stage, path in _model_files().items()}
        # Its log has a handler of its own, which would write to the application's terminal.
        self._engine = RapidOCR(params={"Global.log_level": "critical", **models})

    def read(self, data: bytes) -> Page:
        """The text in a picture, also where it is long, or lies on its side or on its head.

        Args:
            data: An image file.

        Raises:
            InvalidRequestError: It is no image, broken, cut off, or has too many pixels.
        """
        slices = open_slices(data).slices
        pages = [self._read(one.picture) for one in slices]
        lines = []
        for number, (one, page) in enumerate(zip(slices, pages, strict=True)):
            first, end = owned_rows(slices, number)
            moved = [line.moved_down(one.top) for line in page.lines]
            lines += [line for line in moved if first <= (line.top + line.bottom) / 2 < end]
        if any(one.shared for one in slices):
            return Page(as_text(lines), lines)
        return Page("\n".join(page.text for page in pages if page.text), lines)

    def _read(self, upright: Any) -> Page:
        import numpy  # noqa: PLC0415  heavy, and comes with the engine

        # The engine wants blue first, and one block of memory.
        picture = numpy.asarray(upright)[:, :, ::-1]
        lines = self._lines(picture)
        if not lines or (_mean(lines) >= UPRIGHT_SCORE and not _is_sideways(lines)):
            return Page(as_text(lines), lines)
        # Quarter turns against the clock that may set it right, and how it is.
        turns = (1, 3) if _is_sideways(lines) else (2,)
        tries = [(turn, self._lines(numpy.rot90(picture, turn))) for turn in turns]
        turn, best = max([(0, lines), *tries], key=lambda one: _mean(one[1]) - 0.01 * (not one[0]))
        height, width = picture.shape[:2]
        return Page(as_text(best), [_unrotated(line, turn, width, height) for line in best])

    def _lines(self, picture: Any) -> list[TextLine]:
        result: Any = self._engine(picture.copy(), use_cls=False)
        # Of a picture without text.
        if result.boxes is None or result.txts is None:
            return []
        found = zip(result.boxes, result.txts, result.scores, strict=True)
        return [TextLine(text, _corners(box), float(score)) for box, text, score in found]


def _corners(box: Any) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in box)


def _mean(lines: Sequence[TextLine]) -> float:
    """The score of a page, by the length of its lines."""
    weights = sum(len(line.text) for line in lines)
    return sum(line.score * len(line.text) for line in lines) / weights if weights else 0.0


def _is_sideways(lines: Sequence[TextLine]) -> bool:
    tall = sum(line.bottom - line.top > line.right - line.left for line in lines)
    return tall > len(lines) / 2


def _unrotated(line: TextLine, turn: int, width: int, height: int) -> TextLine:
    """The line where it is in the picture as it came, which was turned by so many quarters."""
    places = {
        0: lambda x, y: (x, y),
        1: lambda x, y: (width - y, x),
        2: lambda x, y: (width - x, height - y),
        3: lambda x, y: (y, height - x),
    }
    return line._replace(box=_corners([places[turn](x, y) for x, y in line.box]))


def group_rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """The lines as rows from top to bottom, each from left to right.

    Two lines are in one row when their middles are within half of the lower one's height.
    """
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda one: one.top + one.bottom):
        middle = (line.top + line.bottom) / 2
        last = rows[-1][-1] if rows else None
        height = 0.0 if last is None else min(line.bottom - line.top, last.bottom - last.top)
        if last is not None and abs(middle - (last.top + last.bottom) / 2) <= height / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.left) for row in rows]


def as_text(lines: Sequence[TextLine]) -> str:
    """The text as it stands in the picture; a tab where there is a gap, as between columns."""
    return "\n".join(_row_text(row) for row in group_rows(lines))


def _row_text(row: Sequence[TextLine]) -> str:
    text = row[0].text
    for before, line in itertools.pairwise(row):
        gap = line.left - before.right > before.bottom - before.top
        text += ("\t" if gap else " ") + line.text
    return text
