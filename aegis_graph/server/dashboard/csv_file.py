"""What a page shows, as a file for a spreadsheet."""

from __future__ import annotations

import csv
import io

from starlette.responses import Response

from aegis_graph.server.dashboard.pictures import PlainTable
from aegis_graph.text.spreadsheet import escape_formula


def csv_answer(table: PlainTable, name: str) -> Response:
    """A table as a file to keep, in which no text is a formula.

    Args:
        table: What it has.
        name: The file's name without its ending; plain letters.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for row in (table.columns, *table.rows):
        writer.writerow([escape_formula(one) if isinstance(one, str) else one for one in row])
    return Response(
        lines.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )
