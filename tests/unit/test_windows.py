"""Budget windows: which days they cover, in whose time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.ledger.windows import EVER, Window, days_of, local_day

days = st.dates(date(1970, 1, 1), date(9998, 12, 1))
windows = st.sampled_from(get_args(Window))
ended = st.sampled_from(("day", "week", "month"))
zones = st.sampled_from(
    ["Pacific/Pago_Pago", "America/New_York", "UTC", "Europe/Berlin", "Asia/Kathmandu",
     "Australia/Lord_Howe", "Pacific/Kiritimati"]
)  # fmt: skip
instants = st.integers(946_684_800, 4_102_444_800).map(
    lambda second: datetime.fromtimestamp(second, UTC)
)


@given(windows, days)
def test_a_window_covers_today(window: Window, today: date) -> None:
    covered = days_of(window, today)
    assert covered.first <= today.isoformat() < covered.end


@given(windows, days, days)
def test_two_days_are_in_one_window_or_in_windows_without_a_common_day(
    window: Window, one: date, two: date
) -> None:
    first, second = sorted([days_of(window, one), days_of(window, two)])
    assert first == second or first.end <= second.first


@given(ended, days)
def test_the_next_window_begins_where_this_one_ends(window: Window, today: date) -> None:
    end = days_of(window, today).end
    assert days_of(window, date.fromisoformat(end)).first == end


@given(ended, days)
def test_windows_are_as_long_as_their_name_says(window: Window, today: date) -> None:
    first, end = map(date.fromisoformat, days_of(window, today))
    lengths = {"day": {1}, "week": {7}, "month": {28, 29, 30, 31}}
    assert (end - first).days in lengths[window]
    assert window != "week" or first.isoweekday() == 1
    assert window != "month" or (first.day, end.day) == (1, 1)


@given(days)
def test_the_window_without_an_end_is_always_the_same(today: date) -> None:
    assert days_of("total", today) == EVER
    assert EVER.first < "0001-01-01"
    assert EVER.end > "9999-12-31"


@pytest.mark.parametrize(
    ("today", "first", "end"),
    [
        ("2026-01-31", "2026-01-01", "2026-02-01"),
        ("2026-02-28", "2026-02-01", "2026-03-01"),
        ("2028-02-29", "2028-02-01", "2028-03-01"),
        ("2026-04-30", "2026-04-01", "2026-05-01"),
        ("2026-12-31", "2026-12-01", "2027-01-01"),
        ("2027-01-01", "2027-01-01", "2027-02-01"),
    ],
)
def test_a_month_ends_with_its_last_day(today: str, first: str, end: str) -> None:
    assert days_of("month", date.fromisoformat(today)) == (first, end)


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        ("2026-11-23T10:59:59.999", "Pacific/Pago_Pago", "2026-11-22"),  # UTC-11
        ("2026-11-23T11:00", "Pacific/Pago_Pago", "2026-11-23"),
        ("2026-11-23T09:59:59.999", "Pacific/Kiritimati", "2026-11-23"),  # UTC+14
        ("2026-11-23T10:00", "Pacific/Kiritimati", "2026-11-24"),
        ("2026-03-28T22:59:59.999", "Europe/Berlin", "2026-03-28"),  # a day of 23 hours follows
        ("2026-03-28T23:00", "Europe/Berlin", "2026-03-29"),
        ("2026-03-29T21:59:59.999", "Europe/Berlin", "2026-03-29"),
        ("2026-03-29T22:00", "Europe/Berlin", "2026-03-30"),
        ("2026-10-24T22:00", "Europe/Berlin", "2026-10-25"),  # a day of 25 hours
        ("2026-10-25T22:59:59.999", "Europe/Berlin", "2026-10-25"),
        ("2026-10-25T23:00", "Europe/Berlin", "2026-10-26"),
    ],
)
def test_a_day_begins_at_the_zones_own_midnight(instant: str, zone: str, day: str) -> None:
    moment = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert local_day(moment, ZoneInfo(zone)).isoformat() == day


@given(instants, zones)
def test_days_follow_each_other_as_time_goes_on(moment: datetime, zone: str) -> None:
    here = ZoneInfo(zone)
    later = moment + timedelta(hours=26)
    step = local_day(later, here) - local_day(moment, here)
    assert timedelta(days=1) <= step <= timedelta(days=2)
