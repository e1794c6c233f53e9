"""The use of limits in other units than money, in the transaction that admits an attempt.

Calls under way and a day's use stand in ``totals``. The last minute stands in ``limit_counts``, in
parts of one second, so that it is read in the same time at any rate: a request counts from its
admission until all of its second is over a minute old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from aegis_graph.ledger.limits import LimitRefusal, UnitLimit, limited_scopes
from aegis_graph.ledger.records import Hold
from aegis_graph.ledger.rows import AttemptRow
from aegis_graph.ledger.scopes import scope_list
from aegis_graph.ledger.store import LIST_LIMIT, Connection, padded_count
from aegis_graph.ledger.totals import Totals
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.types import SettlementRecord

WINDOW_S = 60
"""Length of the sliding window of the limits by the minute, in seconds."""

_SECOND, _DAY = "s", "d"
"""How the names of a part of a minute and of a day's correction begin in ``limit_counts``."""


def _matching(hold: Hold) -> tuple[tuple[UnitLimit, str], ...]:
    """Each limit that a hold must fit into, with the scope that it is about."""
    return limited_scopes(hold.limits, hold.scopes()) if hold.limits else ()


class LimitCounts:
    """The use of limits as one transaction sees it: read once, added to in memory, written once.

    Args:
        connection: In the transaction, which no other writer's overlaps.
        totals: Has the calls under way and a day's use.
        now: The moment of the transaction.
        calendar: When days begin.
    """

    def __init__(
        self, connection: Connection, totals: Totals, now: datetime, calendar: Calendar
    ) -> None:
        self._connection = connection
        self._totals = totals
        self._now = now
        self._calendar = calendar
        self._minute: dict[str, list[int]] = {}
        """Requests and tokens of the last minute by scope."""
        self._counts: dict[str, dict[str, list[int]]] = {}
        """Requests and tokens by scope and part."""
        self._new: _Changes = {}
        self._changed: _Changes = {}
        self._begun: set[str] = set()
        """Parts that had no use of some scope before."""

    # When it is, in the words of the table: most transactions need none of them.

    @cached_property
    def _day(self) -> str:
        return day_part(self._calendar.day(self._now))

    @cached_property
    def _today(self) -> Days:
        return self._calendar.windows(self._calendar.day(self._now))["day"]

    @cached_property
    def _under_way(self) -> Days:
        return days_under_way(self._calendar, self._calendar.day(self._now))

    @cached_property
    def _second(self) -> str:
        return _second(self._now)

    @cached_property
    def _since(self) -> str:
        return minute_since(self._now)

    def needed_totals(self, hold: Hold) -> Iterator[tuple[str, Days]]:
        """The sums that deciding on a hold asks for."""
        for limit, scope in _matching(hold):
            if not limit.unit.endswith("minute"):
                yield scope, self._days_of(limit)

    def read(self, holds: Iterable[Hold]) -> None:
        """Look up the counts that deciding on holds asks for, in one statement."""
        scopes = {
            scope: None for hold in holds for limit, scope in _matching(hold) if limit.counted
        }
        asked = list(scopes)
        for at in range(0, len(asked), LIST_LIMIT):
            self._read(asked[at : at + LIST_LIMIT])

    def _read(self, scopes: Sequence[str]) -> None:
        for scope in scopes:
            self._counts[scope] = {}
            self._minute[scope] = [0, 0]
        number = padded_count(len(scopes))
        found = self._connection.execute(
            "SELECT scope, part, requests, tokens FROM limit_counts"
            f" WHERE scope IN ({', '.join('?' * number)}) AND (part > ? OR part = ?)",
            [*scopes, *[scopes[0]] * (number - len(scopes)), self._since, self._day],
        )
        for scope, part, requests, tokens in found.fetchall():
            self._counts[scope][part] = [requests, tokens]
            if part > self._since:
                self._minute[scope][0] += requests
                self._minute[scope][1] += tokens

    def refusal(self, hold: Hold) -> LimitRefusal | None:
        """The first limit that has no room for a hold."""
        for limit, scope in _matching(hold):
            asked = hold.tokens if limit.unit.startswith("tokens") else 1
            used = self._used(limit, scope)
            if used + asked > limit.most:
                free_in_s = self._free_in_s(limit, scope, used + asked - limit.most)
                if asked > limit.most:
                    free_in_s = None
                return LimitRefusal(hold.provider, limit, scope, used, asked, free_in_s)
        return None

    def _days_of(self, limit: UnitLimit) -> Days:
        return self._today if limit.unit.endswith("day") else self._under_way

    def _used(self, limit: UnitLimit, scope: str) -> int:
        which = int(limit.unit.startswith("tokens"))
        if limit.unit.endswith("minute"):
            return self._minute[scope][which]
        sums = self._totals.sums(scope, self._days_of(limit))
        if limit.unit == "max_concurrency":
            return sums.open_holds
        corrected = self._counts[scope].get(self._day, (0, 0))[which]
        return corrected + (sums.tokens if which else sums.calls)

    def _free_in_s(self, limit: UnitLimit, scope: str, above: int) -> float | None:
        """How long it takes until so much of what is used counts no more, in seconds."""
        if limit.unit == "max_concurrency":
            return None
        if limit.unit.endswith("day"):
            tomorrow = self._calendar.begin(date.fromisoformat(self._today.end))
            return (tomorrow - self._now).total_seconds()
        which = int(limit.unit.startswith("tokens"))
        for part, one in sorted(self._counts[scope].items()):
            if part > self._since:
                above -= one[which]
                if above <= 0:
                    over = _moment(part) + timedelta(seconds=WINDOW_S + 1)
                    return (over - self._now).total_seconds()
        return None

    def reserve(self, hold: Hold) -> None:
        """Count a hold that was made."""
        for scope in scope_list(hold.counted_scopes()):
            for part in (self._second, self._day):
                # A day's requests are in the totals; here is only what they lack.
                change = (int(part[0] == _SECOND), hold.tokens)
                if part not in self._counts.get(scope, ()):
                    self._begun.add(part)
                self._add(self._new, scope, part, change)

    def settle(self, row: AttemptRow, record: SettlementRecord) -> None:
        """Count what a hold turned into: nothing where no call was made, real tokens otherwise."""
        if row.hold_tokens is None:
            return
        unused = record["status"] == "cancelled" and record["cost_basis"] == "none"
        reported = (record["input_tokens"] or 0) + (record["output_tokens"] or 0)
        # Of an unknown outcome the most that it can be counts, as its money does.
        unknown = record["input_tokens"] is None and record["cost_basis"] != "none"
        left = (row.hold_tokens if unknown else reported) - row.hold_tokens
        for scope in scope_list(row.counted_scopes):
            second = f"{_SECOND}{row.timestamp[:19]}"
            for part, change in (
                (second, (-int(unused), left)),
                (f"{_DAY}{row.day}", (-int(unused), left - reported)),
            ):
                self._add(self._changed, scope, part, change)

    def _add(self, changes: _Changes, scope: str, part: str, change: tuple[int, int]) -> None:
        known = [changes.setdefault((scope, part), [0, 0])]
        if scope in self._counts:
            known.append(self._counts[scope].setdefault(part, [0, 0]))
            if part > self._since:
                known.append(self._minute[scope])
        for sums in known:
            sums[0] += change[0]
            sums[1] += change[1]

    def write(self) -> None:
        """Bring the table up to date, and drop what counts no more."""
        if self._new:
            rows = [(*place, *change) for place, change in self._new.items()]
            self._connection.executemany(_ADD, rows)
        if self._changed:
            # What counts no more is not there any more, and needs no change.
            changed = [(*change, *place) for place, change in self._changed.items()]
            self._connection.executemany(_CHANGE, changed)
        # About once a second: what is dropped is little each time.
        if self._begun:
            self._connection.execute(_DROP, (_SECOND, self._since))
            self._connection.execute(_DROP, ("", f"{_DAY}{self._under_way.first}"))


_Changes = dict[tuple[str, str], list[int]]

_ADD = (
    "INSERT INTO limit_counts (scope, part, requests, tokens) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (scope, part) DO UPDATE SET requests = limit_counts.requests + excluded.requests,"
    " tokens = limit_counts.tokens + excluded.tokens"
)
_CHANGE = (
    "UPDATE limit_counts SET requests = requests + ?, tokens = tokens + ?"
    " WHERE scope = ? AND part = ?"
)
_DROP = "DELETE FROM limit_counts WHERE part >= ? AND part < ?"


def minute_since(now: datetime) -> str:
    """The last part that counts no more in the minute before an instant."""
    return _second(now - timedelta(seconds=WINDOW_S + 1))


def days_under_way(calendar: Calendar, today: date) -> Days:
    """The days on which what is under way began: no lease is as long as a day."""
    return Days((today - timedelta(days=1)).isoformat(), calendar.windows(today)["day"].end)


def day_part(day: date) -> str:
    """The name of what a day's totals lack."""
    return f"{_DAY}{day.isoformat()}"


def _second(moment: datetime) -> str:
    """The name of the part that an instant falls into."""
    return f"{_SECOND}{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _moment(part: str) -> datetime:
    """When a part began."""
    return datetime.fromisoformat(part[1:]).replace(tzinfo=UTC)
