"""When a provider may be asked again, in each form in which providers say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.providers.retry_advice import RESET_HEADERS, retry_advice

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
EPOCH = NOW.timestamp()


def after(status: int = 429, *, text: str = "", objects: Any = (), **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_advice(status, named, now=NOW, text=text, objects=objects).after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 0.5 ", 0.5),
        ("0", 0),
        ("Sun, 29 Nov 2026 12:00:20 GMT", 20),
        ("Sunday, 29-Nov-26 12:00:20 GMT", 20),
        ("2026-11-29T12:00:20Z", 20),
        ("2026-11-29T14:00:20+02:00", 20),
        ("20s", 20),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("9" * 5000, None),
        ("soon", None),
        ("", None),
        ("Fri, 99 Nov 2026 12:00:20 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None, status: int) -> None:
    assert after(status, retry_after=value) == seconds


def test_a_date_counts_from_the_answers_own_clock() -> None:
    date = "Wed, 21 Oct 2026 07:27:30 GMT"
    assert after(date=date, retry_after="Wed, 21 Oct 2026 07:28:00 GMT") == 30


def test_milliseconds_are_more_exact_than_seconds() -> None:
    assert after(retry_after_ms="1500", retry_after="2") == 1.5
    assert after(retry_after_ms="x", retry_after="2") == 2


@pytest.mark.parametrize(
    ("value", "flag"), [("true", True), ("FALSE", False), ("maybe", None), ("", None)]
)
def test_whether_to_ask_again_at_all_is_taken_over(value: str, flag: bool | None) -> None:
    assert retry_advice(500, {"x-should-retry": value}, now=NOW).should_retry is flag


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("12", 12),
        ("2026-11-29T12:00:20Z", 20),
        (str(int(EPOCH) + 20), 20),
        (str(int(EPOCH * 1000) + 20_000), 20),
        ("1", 1),
        ("never", None),
    ],
)
@pytest.mark.parametrize("reset", RESET_HEADERS)
def test_a_limit_that_is_used_up_says_when_it_is_free_again(
    reset: str, value: str, seconds: float | None
) -> None:
    spent = {reset: value, RESET_HEADERS[reset]: "0"}
    assert retry_advice(429, spent, now=NOW).after_s == seconds
    assert retry_advice(429, {reset: value}, now=NOW).after_s == seconds
    assert retry_advice(429, {**spent, RESET_HEADERS[reset]: "3"}, now=NOW).after_s is None
    assert retry_advice(503, spent, now=NOW).after_s is None, "of a limit only a 429 speaks"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("rate limit reached. please try again in 7.66s. visit", 7.66),
        ("please try again in 6m0s.", 360),
        ("please try again in 120ms", 0.12),
        ("please retry after 7 seconds.", 7),
        ("try again in 2 minutes", 120),
        ("please retry in 34.07s.", 34.07),
        ("try again in 3 milliseconds", 0.003),
        ("try again later", None),
        ("try again in the year 3000", None),
    ],
)
def test_a_wait_in_the_text_is_read(text: str, seconds: float | None) -> None:
    assert after(text=text) == (None if seconds is None else pytest.approx(seconds))
    assert after(500, text=text) is None


def test_google_and_openrouter_say_it_in_the_body() -> None:
    assert after(objects=[{"reason": "x"}, {"retrydelay": "34s"}]) == 34
    limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(EPOCH * 1000) + 5000)}
    assert after(objects=[{"headers": limits}]) == 5


@given(st.text(max_size=200), st.sampled_from([*RESET_HEADERS, "retry-after", "retry-after-ms"]))
def test_no_header_breaks_the_reading(value: str, name: str) -> None:
    found = retry_advice(429, {name: value, "date": value}, now=NOW).after_s
    assert found is None or 0 <= found < float("inf")


@given(st.integers(0, 86_400))
def test_a_date_is_as_good_as_a_number(seconds: int) -> None:
    moment = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert after(retry_after=moment) == (seconds or None)
