"""Which rows of the ledger a question is about: some days of a provider, a user, a tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from aegis_graph.ledger.scopes import SCOPE_COLUMNS, report_prefix
from aegis_graph.ledger.windows import ALL_DAYS, Days

COLUMNS: Mapping[str, str] = {
    **SCOPE_COLUMNS,
    "thread": "thread_id",
    "sensitivity": "sensitivity",
    "status": "status",
    "error": "error_type",
}
"""What rows can be chosen by beside tags, and the columns of ``requests`` that have it."""


class TagValue(NamedTuple):
    """A tag that rows must have."""

    key: str
    value: str


class RowCondition(NamedTuple):
    """A condition on ``requests`` in SQL, with its parameters."""

    sql: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSelection:
    """Rows of some local days, of which each thing that is named here must be true."""

    days: Days = ALL_DAYS
    provider: str | None = None
    model: str | None = None
    task: str | None = None
    user: str | None = None
    run: str | None = None
    thread: str | None = None
    sensitivity: str | None = None
    status: str | None = None
    error: str | None = None
    tag: TagValue | None = None

    def names(self) -> dict[str, str]:
        """What is asked for beside the days, as its address has it.

        Example:
            >>> RowSelection(model="m", tag=TagValue("team", "search")).names()
            {'model': 'm', 'tag': 'team=search'}
        """
        found = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        texts = {name: value for name, value in found.items() if isinstance(value, str)}
        return texts | ({"tag": "=".join(self.tag)} if self.tag else {})

    def scope(self) -> str | None:
        """The scope whose totals have exactly these rows; ``None`` where only the rows say it.

        Example:
            >>> RowSelection().scope(), RowSelection(thread="t").scope()
            ('total', None)
            >>> RowSelection(user="ada").scope()
            'user:ada'
        """
        names = self.names()
        if not names:
            return "total"
        ((kind, value), *others) = names.items()
        counted = not others and kind in (*SCOPE_COLUMNS, "tag")
        return f"{kind}:{value}" if counted else None

    def condition(self) -> RowCondition:
        """The rows in SQL."""
        # No row of these days has a lower number than the first that was written on one of them.
        tests = ["id >= (SELECT coalesce(min(first_id), 0) FROM days WHERE day >= ? AND day < ?)"]
        tests += ["day >= ?", "day < ?"]
        values: list[str] = [*self.days, *self.days]
        for name, column in COLUMNS.items():
            if (value := getattr(self, name)) is not None:
                tests.append(f"{column} = ?")
                values.append(value)
        if self.tag is not None:
            tests.append(
                "EXISTS (SELECT 1 FROM request_tags AS chosen WHERE chosen.request_id = requests.id"
                " AND chosen.key = ? AND chosen.value = ?)"
            )
            values += self.tag
        return RowCondition(" AND ".join(tests), tuple(values))


class Grouping(NamedTuple):
    """How rows are named for a report: SQL of the name, the join that it needs, its parameters."""

    name: str
    join: str = ""
    parameters: tuple[str, ...] = ()


TOTAL = "total"
"""What to group by for everything under one name."""


def grouping(by: str) -> Grouping:
    """How rows are named in a report by ``provider``, ``tag:KEY``, ``total`` and so on.

    Raises:
        ConfigError: There is no report by that.
    """
    kind, _, key = by.partition(":")
    if by == TOTAL:
        return Grouping("'total'")
    report_prefix(by)
    if kind == "tag":
        return Grouping("value", " JOIN request_tags ON request_id = id AND key = ?", (key,))
    return Grouping({**SCOPE_COLUMNS, "day": "day", "month": "substr(day, 1, 7)"}[kind])
