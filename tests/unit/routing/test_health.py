"""When a provider is left alone, for how long, and who finds out that it is well again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.config.specs import HealthSpec
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    MalformedAnswerError,
    ModelAccessError,
    ModelLoadingError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
    UnfitAnswerError,
)
from aegis_graph.routing.health import Health

LASTING = (AuthenticationError, ModelAccessError, QuotaError)
SICK = (
    MalformedAnswerError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    StreamCutError,
)
OWN_FAULTS = (BadRequestError, ContentRefusedError, ContextTooLongError, UnfitAnswerError)
SPEC = HealthSpec(failures=3, first_cooldown_s=30, cooldown_s=30, verdict_s=600)
GROWING = HealthSpec(failures=3, first_cooldown_s=2, cooldown_s=30)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(SPEC, clock)


def fail(health: Health, times: int = 1, kind: type[ProviderError] = StreamCutError) -> None:
    for _ in range(times):
        health.failed("p", kind("broken"))


def code(health: Health, *, key: str | None = None) -> str | None:
    unavailable = health.unavailable("p", key=key)
    return None if unavailable is None else unavailable.code


def test_every_kind_of_failure_is_one_of_three() -> None:
    assert {*LASTING, *SICK, *OWN_FAULTS} == set(ProviderError.__subclasses__())


@pytest.mark.parametrize("kind", SICK)
def test_failures_in_a_row_start_a_cooldown(health: Health, kind: type[ProviderError]) -> None:
    fail(health, 2, kind)
    assert health.unavailable("p") is None
    fail(health, 1, kind)
    assert health.unavailable("p") == ("cooldown", "cooling down for 30 s, failures in a row: 3")
    assert health.unavailable("another") is None


def test_an_answer_in_between_starts_the_count_again(health: Health) -> None:
    fail(health, 2)
    health.succeeded("p")
    fail(health, 2)
    assert health.unavailable("p") is None


def test_a_cooldown_ends_with_its_time(health: Health, clock: Clock) -> None:
    fail(health, 3)
    clock.go_on(29.999)
    assert code(health) == "cooldown"
    clock.go_on(0.001)
    assert health.unavailable("p") is None


def test_after_a_cooldown_one_probe_is_admitted_and_the_others_wait(
    health: Health, clock: Clock
) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    reason = "one request is finding out whether it works again"
    assert [health.unavailable("p") for _ in range(3)] == [("cooldown", reason)] * 3


def test_a_probe_that_is_answered_opens_the_way(health: Health, clock: Clock) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    health.succeeded("p")
    assert health.unavailable("p") is None
    fail(health, 2)
    assert health.unavailable("p") is None


def test_a_probe_that_fails_starts_another_cooldown_at_once(health: Health, clock: Clock) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    fail(health)
    assert code(health) == "cooldown"
    clock.go_on(30)
    assert health.unavailable("p") is None


def test_a_probe_that_was_abandoned_lets_the_next_one_probe(health: Health, clock: Clock) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    health.abandoned("p")
    assert health.unavailable("p") is None


def test_a_probe_that_never_comes_back_blocks_no_longer_than_its_lease(
    health: Health, clock: Clock
) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    clock.go_on(59.999)
    assert code(health) == "cooldown"
    clock.go_on(0.001)
    assert health.unavailable("p") is None


@pytest.mark.parametrize("kind", LASTING)
def test_a_refused_key_or_model_is_remembered_from_the_first_time_on(
    health: Health, clock: Clock, kind: type[ProviderError]
) -> None:
    health.failed("p", kind("HTTP 401"), key="one")
    wanted = ("verdict", f"{kind.__name__}: HTTP 401, remembered for 30 s")
    assert health.unavailable("p", key="one") == wanted
    clock.go_on(29.999)
    assert code(health, key="one") == "verdict"
    clock.go_on(0.001)
    assert code(health, key="one") is None


def refuse(health: Health, about_request: bool | None = False, request: str = "one") -> None:
    error = ModelAccessError("HTTP 403", status=403, about_request=about_request)
    health.failed("p", error, key="k", request=request)


def test_each_refused_probe_doubles_the_time_up_to_the_longest(
    health: Health, clock: Clock
) -> None:
    for wait_s in (30, 60, 120, 240, 480, 600, 600):
        assert health.try_start("p", lease_s=60, key="k") is None
        refuse(health)
        clock.go_on(wait_s - 0.001)
        assert code(health, key="k") == "verdict"
        clock.go_on(0.001)
        assert code(health, key="k") is None


def test_after_its_time_one_request_probes_a_refused_key_and_the_others_wait(
    health: Health, clock: Clock
) -> None:
    refuse(health)
    clock.go_on(30)
    assert health.try_start("p", lease_s=60, key="k") is None
    reason = "one request is finding out whether it works again"
    assert health.try_start("p", lease_s=60, key="k") == ("cooldown", reason)
    assert health.unavailable("p", key="other") is None, "another key may be accepted"
    health.succeeded("p")
    assert code(health, key="k") is None


def test_calls_that_were_under_way_do_not_count_as_probes(health: Health, clock: Clock) -> None:
    for _ in range(20):
        refuse(health)
    clock.go_on(30)
    assert code(health, key="k") is None


def test_a_refusal_of_one_request_keeps_no_other_one_out(health: Health) -> None:
    for request in ("one", "two", "three"):
        refuse(health, about_request=True, request=request)
        assert health.unavailable("p", key="k") is None


def test_a_refusal_that_is_unclear_counts_when_a_different_request_meets_it(
    health: Health,
) -> None:
    refuse(health, about_request=None, request="one")
    refuse(health, about_request=None, request="one")
    assert code(health, key="k") is None
    refuse(health, about_request=None, request="two")
    assert code(health, key="k") == "verdict"


def test_an_answer_in_between_clears_an_unclear_refusal(health: Health) -> None:
    refuse(health, about_request=None, request="one")
    health.succeeded("p")
    refuse(health, about_request=None, request="two")
    assert code(health, key="k") is None


@pytest.mark.parametrize("new_key", ["two", None])
def test_a_verdict_about_another_key_does_not_count(health: Health, new_key: str | None) -> None:
    health.failed("p", AuthenticationError("HTTP 401"), key="one")
    assert code(health, key=new_key) is None
    assert code(health, key="one") == "verdict"


def test_an_answer_ends_a_verdict(health: Health) -> None:
    health.failed("p", QuotaError("no credit"), key="one")
    health.succeeded("p")
    assert code(health, key="one") is None


def test_a_wait_that_the_provider_asks_for_is_kept_from_the_first_time_on(
    health: Health, clock: Clock
) -> None:
    health.failed("p", RateLimitError("slow down", retry_after_s=7))
    assert health.unavailable("p") == ("cooldown", "cooling down for 7 s, failures in a row: 1")
    clock.go_on(7)
    assert health.unavailable("p") is None


@pytest.mark.parametrize(("asked_s", "kept_s"), [(7, 30), (90, 90)])
def test_of_its_wait_and_the_cooldown_the_longer_one_counts(
    health: Health, clock: Clock, asked_s: float, kept_s: float
) -> None:
    fail(health, 2)
    health.failed("p", RateLimitError("slow down", retry_after_s=asked_s))
    clock.go_on(kept_s - 0.001)
    assert code(health) == "cooldown"
    clock.go_on(0.001)
    assert health.unavailable("p") is None


@given(st.floats(0, allow_infinity=False, allow_nan=False))
def test_no_wait_that_a_provider_can_ask_for_breaks_anything(wait_s: float) -> None:
    clock = Clock()
    health = Health(SPEC, clock)
    health.failed("p", RateLimitError("slow down", retry_after_s=wait_s))
    clock.go_on(86_400)
    assert health.unavailable("p") is None


@pytest.mark.parametrize("kind", OWN_FAULTS)
def test_a_requests_own_faults_do_not_count_against_the_provider(
    health: Health, clock: Clock, kind: type[ProviderError]
) -> None:
    fail(health, 10, kind)
    assert health.unavailable("p") is None
    fail(health, 2)
    fail(health, 10, kind)
    assert health.unavailable("p") is None
    fail(health)
    assert code(health) == "cooldown"
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    fail(health, 1, kind)
    assert health.unavailable("p") is None, "the probe said nothing, so the next one asks"


def test_many_threads_lose_no_failure(clock: Clock) -> None:
    health = Health(HealthSpec(failures=4001, first_cooldown_s=30), clock)
    threads = [threading.Thread(target=fail, args=(health, 500)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert health.unavailable("p") is None
    fail(health)
    assert health.unavailable("p") == ("cooldown", "cooling down for 30 s, failures in a row: 4001")


def test_each_failed_probe_doubles_the_cooldown_up_to_the_longest(clock: Clock) -> None:
    health = Health(GROWING, clock)
    fail(health, 3, ProviderUnavailableError)
    lengths = []
    for _ in range(6):
        length = 0
        while code(health):
            clock.go_on(1)
            length += 1
        lengths.append(length)
        health.try_start("p", lease_s=60)
        fail(health)
    assert lengths == [2, 4, 8, 16, 30, 30]


def test_an_answer_makes_the_next_cooldown_short_again(clock: Clock) -> None:
    health = Health(GROWING, clock)
    fail(health, 3)
    clock.go_on(2)
    fail(health)
    health.succeeded("p")
    fail(health, 3)
    assert health.unavailable("p") == ("cooldown", "cooling down for 2 s, failures in a row: 3")


def test_failures_of_attempts_that_were_under_way_do_not_make_a_cooldown_longer(
    clock: Clock,
) -> None:
    health = Health(GROWING, clock)
    fail(health, 14, ProviderUnavailableError)
    clock.go_on(2)
    assert health.unavailable("p") is None


def test_a_wait_that_the_provider_asks_for_is_not_cut_short_by_another_failure(
    clock: Clock,
) -> None:
    health = Health(GROWING, clock)
    health.failed("p", RateLimitError("slow down", retry_after_s=20))
    fail(health, 2)
    clock.go_on(19)
    assert code(health) == "cooldown"
    clock.go_on(1)
    assert health.unavailable("p") is None


def test_a_queue_is_no_outage_where_the_provider_has_answered_others_meanwhile(
    health: Health,
) -> None:
    before = health.answers("p")
    health.succeeded("p")
    for _ in range(14):
        health.failed("p", ProviderTimeoutError("too late"), answers_before=before)
    assert health.unavailable("p") is None
    before = health.answers("p")
    for _ in range(3):
        health.failed("p", ProviderTimeoutError("too late"), answers_before=before)
    assert code(health) == "cooldown"


def test_another_fault_counts_also_where_others_were_answered_meanwhile(health: Health) -> None:
    before = health.answers("p")
    health.succeeded("p")
    for _ in range(3):
        health.failed("p", ProviderUnavailableError("HTTP 500"), answers_before=before)
    assert code(health) == "cooldown"


def test_a_probe_of_a_server_that_loads_lets_the_next_request_ask(
    health: Health, clock: Clock
) -> None:
    fail(health, 3)
    clock.go_on(30)
    health.try_start("p", lease_s=60)
    fail(health, 1, ModelLoadingError)
    assert health.unavailable("p") is None
