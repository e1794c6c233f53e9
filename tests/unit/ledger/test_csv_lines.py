"""Lines that the database joined are CSV exactly where nothing in them needs care."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.ledger.export.csv_lines import csv_lines, joined_lines
from aegis_graph.text.spreadsheet import FORMULA_STARTS, escape_formula

cells = st.one_of(
    st.none(),
    st.integers(0, 10**12),
    st.text(max_size=4),
    st.text(alphabet=f"ab,\"'{FORMULA_STARTS}", max_size=4),
)
tables = st.lists(st.tuples(st.integers(0), cells, cells), min_size=1, max_size=5)


def needs_care(cell: object) -> bool:
    text = "" if cell is None else str(cell)
    return text.startswith(tuple(FORMULA_STARTS)) or any(mark in text for mark in ',"\r\n')


@given(tables)
def test_what_is_joined_is_what_the_csv_module_writes(
    rows: list[tuple[int, int | str | None, int | str | None]],
) -> None:
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    text = joined_lines(lines, commas=2)
    if any(needs_care(cell) for row in rows for cell in row):
        assert text is None
    else:
        safe = [
            [escape_formula(cell) if isinstance(cell, str) else cell for cell in row]
            for row in rows
        ]
        assert text == csv_lines(safe)
