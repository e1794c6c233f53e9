"""Text in a table that no spreadsheet takes for a formula."""

from __future__ import annotations

FORMULA_STARTS = "=+-@\t\r\n"
"""A cell that begins with one of these is run as a formula by spreadsheets.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""


def escape_formula(text: str) -> str:
    """Text as a CSV cell that no spreadsheet takes for a formula.

    >>> escape_formula("=1+1"), escape_formula("gpt-4o")
    ("'=1+1", 'gpt-4o')
    """
    return f"'{text}" if text.startswith(tuple(FORMULA_STARTS)) else text
