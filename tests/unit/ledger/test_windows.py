"""Budget windows: which days they cover, in whose time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.ledger.windows import ALL_DAYS, Calendar
from aegis_graph.types import Window

UTC_DAYS = Calendar(ZoneInfo("UTC"))
MONTH_DAYS = range(1, 29)
WEEK_DAYS = range(7)

days = st.dates(date(1970, 1, 1), date(9998, 12, 1))
windows = st.sampled_from(get_args(Window))
ended: st.SearchStrategy[Window] = st.sampled_from(("day", "week", "month"))
zones = st.sampled_from(
    ["Pacific/Pago_Pago", "America/New_York", "UTC", "Europe/Berlin", "Asia/Kathmandu",
     "Australia/Lord_Howe", "Pacific/Kiritimati"]
)  # fmt: skip
instants = st.integers(946_684_800, 4_102_444_800).map(
    lambda second: datetime.fromtimestamp(second, UTC)
)
offsets = st.integers(-11, 14)
calendars = st.builds(
    Calendar,
    st.one_of(zones, offsets.map(lambda hours: f"Etc/GMT{-hours:+}")).map(ZoneInfo),
    first_day_of_month=st.sampled_from(MONTH_DAYS),
    first_weekday=st.sampled_from(WEEK_DAYS),
)


@given(calendars, windows, days)
def test_a_window_covers_today(here: Calendar, window: Window, today: date) -> None:
    covered = here.days(window, today)
    assert covered.first <= today.isoformat() < covered.end


@given(calendars, windows, days, days)
def test_two_days_are_in_one_window_or_in_windows_without_a_common_day(
    here: Calendar, window: Window, one: date, two: date
) -> None:
    first, second = sorted([here.days(window, one), here.days(window, two)])
    assert first == second or first.end <= second.first


@given(calendars, ended, days)
def test_the_next_window_begins_where_this_one_ends(
    here: Calendar, window: Window, today: date
) -> None:
    end = here.days(window, today).end
    assert here.days(window, date.fromisoformat(end)).first == end


@given(calendars, ended, days)
def test_windows_are_as_long_as_their_name_says(
    here: Calendar, window: Window, today: date
) -> None:
    first, end = map(date.fromisoformat, here.days(window, today))
    lengths = {"day": {1}, "week": {7}, "month": {28, 29, 30, 31}}
    assert (end - first).days in lengths[window]
    assert window != "week" or first.weekday() == here.first_weekday
    assert window != "month" or (first.day, end.day) == (here.first_day_of_month,) * 2


@pytest.mark.parametrize("first_weekday", WEEK_DAYS)
@pytest.mark.parametrize("first_day", MONTH_DAYS)
def test_three_years_of_days_fall_into_windows_without_gap_or_overlap(
    first_day: int, first_weekday: int
) -> None:
    here = Calendar(ZoneInfo("UTC"), first_day_of_month=first_day, first_weekday=first_weekday)
    names: tuple[Window, ...] = ("week", "month")
    begun = {window: here.days(window, date(2027, 1, 1)) for window in names}
    for number in range(1, 3 * 365 + 2):
        today = date(2027, 1, 1) + timedelta(days=number)
        for window, before in begun.items():
            now = here.days(window, today)
            assert now == before or (before.end == now.first == today.isoformat())
            begun[window] = now


@given(calendars, days)
def test_the_window_without_an_end_is_always_the_same(here: Calendar, today: date) -> None:
    assert here.days("total", today) == ALL_DAYS
    assert ALL_DAYS.first < "0001-01-01"
    assert ALL_DAYS.end > "9999-12-31"


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
    assert UTC_DAYS.days("month", date.fromisoformat(today)) == (first, end)


@pytest.mark.parametrize(
    ("today", "first", "end"),
    [
        ("2026-02-27", "2026-01-28", "2026-02-28"),
        ("2026-02-28", "2026-02-28", "2026-03-28"),
        ("2028-02-29", "2028-02-28", "2028-03-28"),
        ("2026-12-31", "2026-12-28", "2027-01-28"),
        ("2027-01-27", "2026-12-28", "2027-01-28"),
    ],
)
def test_a_month_may_begin_on_its_28th_day(today: str, first: str, end: str) -> None:
    here = Calendar(ZoneInfo("UTC"), first_day_of_month=28)
    assert here.days("month", date.fromisoformat(today)) == (first, end)


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
    assert Calendar(ZoneInfo(zone)).day(moment).isoformat() == day


@given(instants, calendars)
def test_days_follow_each_other_as_time_goes_on(moment: datetime, here: Calendar) -> None:
    step = here.day(moment + timedelta(hours=26)) - here.day(moment)
    assert timedelta(days=1) <= step <= timedelta(days=2)


@given(instants, calendars, windows)
def test_a_window_is_that_of_the_zones_own_day(
    moment: datetime, here: Calendar, window: Window
) -> None:
    today = moment.astimezone(here.zone).date()
    covered = here.days_now(window, moment)
    assert covered == here.days(window, today)
    assert covered.first <= today.isoformat() < covered.end


@given(instants, calendars, ended, st.integers(0, 40 * 86_400))
def test_a_window_never_goes_back_whatever_the_clocks_do(
    moment: datetime, here: Calendar, window: Window, seconds: int
) -> None:
    # Not even in the hour that a clock set back goes through twice.
    later = moment + timedelta(seconds=seconds)
    assert here.days_now(window, moment) <= here.days_now(window, later)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("first_day", [1, 15, 28])
def test_a_year_of_half_hours_with_both_changes_of_the_clock_ends_each_window_once(
    zone: str, first_day: int
) -> None:
    here = Calendar(ZoneInfo(zone), first_day_of_month=first_day, first_weekday=6)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(minutes=30 * step) for step in range(365 * 48)]
    expected: dict[Window, int] = {"day": 365, "week": 52, "month": 12}
    for window, fewest in expected.items():
        covered = [here.days_now(window, moment) for moment in moments]
        changes = [(one, two) for one, two in pairwise(covered) if one != two]
        assert all(one.end == two.first for one, two in changes)
        assert len(changes) in {fewest - 1, fewest, fewest + 1}
