"""Tables and lines on terminals of any width: nothing of an amount or a name is cut or broken."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from aegis_graph.cli.output import TableColumn, print_lines, print_table

RUN = "52d13a223875400a8f1b9b92041a65e1"
COLUMNS = [
    TableColumn("run", [RUN, "[b]x[/b]"], "total"),
    TableColumn("calls", ["1,204", "1"], "1,205", number=True, rank=1),
    TableColumn("USD", ["12.345678901", "0"], "12.345678901", number=True),
    TableColumn("held USD", ["0.000000001", "0"], "0.000000001", number=True, rank=2),
    TableColumn("state", ["expired: counts as spent", ""], wraps=True, rank=3),
]


@pytest.mark.parametrize("width", [10, 40, 60, 80, 120, 240])
def test_what_is_shown_of_a_table_is_whole(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Console(width=width), "Costs by run", COLUMNS, elsewhere="--format csv")
    lines = capsys.readouterr().out.splitlines()
    shown = "\n".join(lines)
    for whole in (RUN, "[b]x[/b]", "12.345678901", "USD"):
        assert whole in shown
    for column in COLUMNS:
        header = next(line for line in lines if line.strip().startswith("run "))
        assert column.heading in header + shown.partition("Columns left out")[2]
    assert "\u2026" not in shown
    if width >= 60:
        table = shown.partition("Columns left out")[0]
        assert max(map(len, table.splitlines())) <= width


def test_all_of_a_table_is_shown_where_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Console(width=120), "Costs by run", COLUMNS)
    shown = capsys.readouterr().out
    assert "left out" not in shown
    assert all(column.heading in shown for column in COLUMNS)


def test_lines_break_at_words_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"Budget  total per month: $12.345678901 left of $20, run {RUN}"
    print_lines(Console(width=40), [line])
    assert capsys.readouterr().out == f"{line}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_lines(Console(width=40), [line])
    assert capsys.readouterr().out == (
        f"Budget  total per month: $12.345678901\n        left of $20, run\n        {RUN}\n"
    )
