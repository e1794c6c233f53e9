"""The class, the next step and the cost of an error, in every dialect that is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import httpx
import pytest
from aiohttp import ClientResponseError
from aiohttp.http_exceptions import TransferEncodingError

from aegis_graph.config.specs import HealthSpec, ProviderSpec
from aegis_graph.errors import (
    ContextTooLongError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
)
from aegis_graph.providers.client_errors import client_error, error_from_body
from aegis_graph.providers.dashscope.error_codes import DASHSCOPE_CODES
from aegis_graph.providers.error_codes import CODES
from aegis_graph.routing.exchange.retry import retry_wait_s
from aegis_graph.routing.health import Health
from tests.unit.providers.error_samples import SAMPLES, Remembered, Sample

SPEC = ProviderSpec.model_validate(
    {"name": "p", "kind": "openai", "model": "m", "location": "cloud", "retry_wait_s": 1}
)
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def error_of(sample: Sample) -> ProviderError:
    return error_from_body(
        sample.body,
        status=sample.status,
        headers=sample.headers,
        codes=DASHSCOPE_CODES if sample.kind == "dashscope" else CODES,
    )


def remembered(error: ProviderError) -> Remembered:
    """When other requests are kept from the provider because of a refusal."""
    health = Health(HealthSpec(), lambda: NOW)
    found: list[Remembered] = ["at once", "never", "by a second request"]
    for name, request in zip(found, ("one", "one", "two"), strict=True):
        health.failed("p", error, key="k", request=request)
        unavailable = health.unavailable("p", key="k")
        if unavailable is not None and unavailable.code == "verdict":
            return name
    return "never"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_dialect_has_its_class_its_next_step_and_its_cost(name: str) -> None:
    sample = SAMPLES[name]
    error = error_of(sample)
    assert type(error) is sample.error
    wait_s = retry_wait_s(error, SPEC, [], longest_s=60)
    assert wait_s == (None if sample.again_s is None else pytest.approx(sample.again_s))
    assert remembered(error) == sample.remembered
    assert error.outcome_unknown is (sample.basis == "held")
    assert error.status == sample.status
    text = f"{error} {error.code}"
    assert text.isprintable()
    assert len(text) < 200


def test_there_are_samples_enough() -> None:
    assert len(SAMPLES) >= 60


@pytest.mark.parametrize("code", [429, "429", " 429 ", "rate_limit_exceeded", "RESOURCE_EXHAUSTED"])
@pytest.mark.parametrize("place", ["code", "type", "status"])
def test_a_code_is_read_in_every_form_and_place(code: object, place: str) -> None:
    error = error_from_body({"error": {"message": "no", place: code}})
    assert (type(error), error.outcome_unknown) == (RateLimitError, False)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"innererror": {"code": "context_length_exceeded"}}},
        {
            "error": {
                "metadata": {"raw": json.dumps({"error": {"type": "exceed_context_size_error"}})}
            }
        },
        {"error": {"details": [{}, {"reason": "context_length_exceeded"}]}},
        {"error": {"error": {"code": "context_length_exceeded"}}},
        {"detail": {"error": {"code": "context_length_exceeded"}}},
        {"errors": [{"code": "context_length_exceeded"}]},
        {"error": {"message": json.dumps({"error": {"code": "context_length_exceeded"}})}},
        json.dumps({"error": {"code": "context_length_exceeded"}}),
    ],
)
def test_a_code_is_found_below_the_error_object(body: object) -> None:
    assert type(error_from_body(body, status=400)) is ContextTooLongError


@pytest.mark.parametrize("status", [500, 502, 504, 520])
def test_no_phrase_decides_where_work_may_have_been_done(status: int) -> None:
    error = error_from_body({"error": {"message": "prompt is too long"}}, status=status)
    assert type(error) is ProviderUnavailableError


@pytest.mark.parametrize("code", [429, 401, 503, 400])
def test_after_a_part_of_the_answer_nothing_is_free(code: int) -> None:
    error = error_from_body({"error": {"code": code, "message": "no"}}, begun=True)
    assert error.outcome_unknown
    assert retry_wait_s(error, SPEC, [], longest_s=60) is None


def nested(depth: int) -> object:
    body: object = {"code": 429}
    for _ in range(depth):
        body = {"error": body}
    return body


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        [],
        [[[]]],
        {},
        {"error": None},
        {"error": [1, "x", {}]},
        {"error": {"code": [], "type": {}, "status": True, "message": 5}},
        {"error": {"code": 10**400, "type": "\ud800"}},
        {"error": {"metadata": {"raw": "{" * 20_000}}},
        {"error": {"message": "[" * 20_000}},
        {"details": [{"details": [{}] * 1000}] * 1000},
        {str(key): key for key in range(10_000)},
        nested(2000),
        "<" * 10_000,
        b"bytes",
    ],
    ids=lambda body: type(body).__name__,
)
@pytest.mark.parametrize("status", [None, 400, 500])
def test_no_body_breaks_the_reading(body: object, status: int | None) -> None:
    assert isinstance(error_from_body(body, status=status), ProviderError)


def test_a_prompt_that_is_repeated_does_not_keep_others_from_the_provider() -> None:
    said = "1 validation error: input_value='is my api key invalid? insufficient credits'"
    error = error_from_body({"detail": said}, status=400)
    assert remembered(error) != "at once"


def test_what_the_transport_could_not_read_is_no_status_of_the_provider() -> None:
    fault = TransferEncodingError("not enough data")
    wrapped = ClientResponseError(cast(Any, None), (), status=fault.code, message=fault.message)
    wrapped.__cause__ = fault
    error = client_error(wrapped)
    assert (type(error), error.status, error.outcome_unknown) == (
        ProviderUnavailableError,
        None,
        True,
    )


def test_a_wrapper_has_its_details_from_what_it_wraps() -> None:
    class Inner(Exception):
        body: ClassVar = {"error": {"message": "prompt is too long"}}
        headers: ClassVar = {"retry-after": "7"}

    class Outer(Exception):
        status_code = 400

    outer = Outer("wrapped")
    outer.__cause__ = Inner()
    error = client_error(outer)
    assert (type(error), error.status, error.retry_after_s) == (ContextTooLongError, 400, 7)


def test_an_error_without_status_and_body_is_the_transports() -> None:
    assert client_error(httpx.ConnectError("no")).outcome_unknown is False
    assert client_error(ValueError("no")).outcome_unknown is True
