"""How far a job is: whole at any width for a person, exact for a program."""

from __future__ import annotations

import io
import json
import os
import pty
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from aegis_graph.bulk.progress import (
    LINE_S,
    ProgressView,
    progress_bar,
    progress_json,
    progress_lines,
)
from aegis_graph.bulk.records import BulkProgress


def progress(**changes: Any) -> BulkProgress:
    figures: dict[str, Any] = {
        "name": "contracts-2026",
        "state": "running",
        "reason": None,
        "total": 100_000,
        "done": 61_000,
        "failed": 12,
        "set_aside": 61,
        "leased": 64,
        "pending": 38_863,
        "spent_nano_usd": 36_604_123_456,
        "envelope_nano_usd": 60_000_000_000,
        "bought_twice_at_most": 2,
        "bought_twice_nano_usd": 2_000_000,
        "items_per_s": 412.3,
        "seconds_left": 94.2,
    }
    return BulkProgress(**{**figures, **changes})


def drawn(shown: BulkProgress, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(ProgressView(shown))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    return [line for line in text.splitlines() if line.strip()]


def read_all(terminal: int) -> Iterator[str]:
    """What was written to a terminal that is closed by now."""
    # At a terminal's end there is an error on Linux, and nothing elsewhere.
    with os.fdopen(terminal, "rb", buffering=0) as reader, suppress(OSError):
        while data := reader.read(65_536):
            yield data.decode()


FIGURES = (
    "contracts-2026",
    "61 %",
    "61,000 of 100,000 done",
    "12 failed",
    "61 set aside",
    "$36.6042 spent",
    "$23.3958 left",
    "2 bought twice at most",
    "412 items/s",
    "0:01:34 to go",
)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_figure_is_whole_at_any_width(width: int) -> None:
    lines = drawn(progress(), width)
    for figure in FIGURES:
        assert any(figure in line for line in lines), figure
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", [20, 40, 120])
def test_a_long_name_and_a_long_reason_break_nothing(width: int) -> None:
    reason = "openai: does not answer (connection refused); asked again in 30 s"
    lines = drawn(progress(name="n" * 80, state="paused", reason=reason), width)
    assert max(map(cell_len, lines)) <= width
    assert reason.replace(" ", "") in "".join(lines).replace(" ", "")
    assert "paused" in "".join(lines)


def test_what_looks_like_markup_is_text() -> None:
    assert "[red]x" in "".join(drawn(progress(name="[red]x", reason="[/bad]"), 80))


def test_before_anything_is_known_there_is_no_rate_and_no_envelope() -> None:
    unknown = progress(
        total=0, done=0, failed=0, set_aside=0, spent_nano_usd=0, envelope_nano_usd=None,
        bought_twice_at_most=0, items_per_s=0.0, seconds_left=None,
    )  # fmt: skip
    assert drawn(unknown, 60)[1:] == ["0 of 0 done · $0.00 spent"]
    assert drawn(unknown, 60)[0].endswith(" 0 %")


def test_a_little_money_is_not_shown_as_none() -> None:
    assert "$0.0001 spent" in "".join(drawn(progress(spent_nano_usd=1), 120))
    almost = progress(spent_nano_usd=59_999_999_999)
    assert "$0.00 left" in "".join(drawn(almost, 120))


def test_a_line_of_json_is_exact() -> None:
    assert progress_json(progress()) == {
        "job": "contracts-2026",
        "state": "running",
        "reason": None,
        "done": 61_000,
        "failed": 12,
        "set_aside": 61,
        "leased": 64,
        "pending": 38_863,
        "total": 100_000,
        "spent_usd": "36.604123456",
        "envelope_usd": "60",
        "left_usd": "23.395876544",
        "bought_twice_at_most": 2,
        "items_per_s": 412.3,
        "seconds_left": 94,
    }


def test_lines_come_now_and_then_and_with_each_change_of_state() -> None:
    stream, now = io.StringIO(), 0.0
    show = progress_lines(stream, monotonic=lambda: now)
    for now, state in (
        (0.0, "running"),
        (LINE_S - 0.1, "running"),
        (LINE_S, "running"),
        (LINE_S + 0.1, "paused"),
        (LINE_S + 0.2, "paused"),
    ):
        show(progress(state=state, done=round(now)))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["state"], one["done"]) for one in lines] == [
        ("running", 0),
        ("running", 10),
        ("paused", 10),
    ]


def test_a_bar_is_drawn_in_a_terminal_and_taken_away_again() -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal, progress_bar(terminal) as show:
        show(progress())
    shown = "".join(read_all(reader))
    assert "61,000 of 100,000 done" in shown
    assert shown.count("\x1b[?25h") == shown.count("\x1b[?25l") == 1  # the cursor is back
    assert "\x1b[2K" in shown


def test_a_pipe_gets_no_bar() -> None:
    stream = io.StringIO()
    with progress_bar(stream) as show:
        show(progress())
    assert stream.getvalue() == ""
