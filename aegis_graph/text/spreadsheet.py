"""Text in a table that no spreadsheet takes for a formula."""

from __future__ import annotations

FORMULA = "=+-@\t\r\n"
"""A cell that begins with one of these is run as a formula by spreadsheets.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""


def inert(text: str) -> str:
    """Text as a CSV cell that no spreadsheet takes for a formula.

    >>> inert("=1+1"), inert("gpt-4o")
    ("'=1+1", 'gpt-4o')
    """
    return f"'{text}" if text.startswith(tuple(FORMULA)) else text
