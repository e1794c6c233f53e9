"""Whether a provider is asked again, and after how long."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import (
    AuthenticationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
)
from aegis_graph.routing.exchange.retry import is_retry, retry_wait_s

ROW = {"name": "p", "kind": "openai", "model": "m", "location": "cloud"}
SPEC = ProviderSpec.model_validate({**ROW, "max_retries": 2, "retry_wait_s": 0.5})


def attempts(*providers: str) -> list[Any]:
    return [{"provider": name} for name in providers]


def wait(error: ProviderError, *before: str) -> float | None:
    return retry_wait_s(error, SPEC, attempts(*before), longest_s=5.0)


@pytest.mark.parametrize(
    ("before", "retry"),
    [((), False), (("p",), True), (("q",), False), (("q", "p"), True), (("p", "q"), False)],
)
def test_only_an_attempt_right_after_one_of_its_own_is_a_retry(
    before: tuple[str, ...], retry: bool
) -> None:
    assert is_retry(attempts(*before), "p") is retry


@pytest.mark.parametrize(
    ("before", "wait_s"),
    [((), 0.5), (("p",), 1.0), (("q", "p"), 1.0), (("p", "p"), None), (("q", "q"), 0.5)],
)
def test_each_wait_is_twice_the_last_one_until_the_retries_are_used_up(
    before: tuple[str, ...], wait_s: float | None
) -> None:
    assert wait(ProviderUnavailableError("HTTP 503", status=503), *before) == wait_s


@pytest.mark.parametrize(("asked_s", "wait_s"), [(0.0, 0.0), (3.0, 3.0), (5.0, 5.0), (5.1, None)])
def test_a_wait_that_the_provider_names_counts_up_to_the_longest(
    asked_s: float, wait_s: float | None
) -> None:
    assert wait(RateLimitError("HTTP 429", status=429, retry_after_s=asked_s)) == wait_s


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("HTTP 401", status=401),
        ProviderUnavailableError("the connection broke"),
        ProviderTimeoutError("no complete answer within 5 s", outcome_unknown=True),
    ],
    ids=["not retryable", "no status", "time limit"],
)
def test_what_would_fail_again_or_may_be_billed_already_is_not_asked_again(
    error: ProviderError,
) -> None:
    assert wait(error) is None
