"""What servers count, and what is believed of it."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from langchain_core.messages.ai import UsageMetadata

from aegis_graph.providers.usage import combined_usage, openai_usage, openai_usage_metadata

SOUND = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 41}
NO_COUNTS = [5.5, "n/a", "7", 2**63, 10**18, -1, True, None, [], [7], {}, math.nan, math.inf]


def usage(read: int, written: int, **details: Any) -> UsageMetadata:
    counts: dict[str, Any] = {"input_tokens": read, "output_tokens": written}
    return cast("UsageMetadata", {**counts, "total_tokens": read + written, **details})


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens"])
def test_a_main_count_that_is_none_makes_the_whole_unusable(field: str, value: object) -> None:
    assert openai_usage({**SOUND, field: value}) is None
    assert openai_usage_metadata({**SOUND, field: value}) is None


@pytest.mark.parametrize("raw", [None, "usage", 7, [], [SOUND], math.nan])
def test_what_is_no_object_is_no_usage(raw: object) -> None:
    assert openai_usage(raw) is None


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_a_broken_detail_alone_is_dropped(value: object) -> None:
    details = {"cached_tokens": value, "audio_tokens": 2}
    found = openai_usage_metadata({**SOUND, "prompt_tokens_details": details})
    assert found == usage(32, 9, input_token_details={"audio": 2})


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_broken_details_and_totals_are_dropped(value: object) -> None:
    raw = {**SOUND, "total_tokens": value, "completion_tokens_details": value}
    assert openai_usage_metadata(raw) == usage(32, 9)


def test_what_else_a_server_says_is_no_usage() -> None:
    raw = {**SOUND, "queue_time": 0.03, "prompt_time": "n/a", "cost": 1.5}
    assert openai_usage_metadata(raw) == usage(32, 9)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    found = openai_usage_metadata({"prompt_tokens": 32.0, "completion_tokens": 9.0})
    assert found == usage(32, 9)
    assert type(found["input_tokens"]) is int


def test_reasoning_beside_the_completion_is_added_to_it() -> None:
    beside = {**SOUND, "total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}}
    assert openai_usage_metadata(beside) == usage(32, 103, output_token_details={"reasoning": 94})
    within = {**SOUND, "completion_tokens_details": {"reasoning_tokens": 5}}
    assert openai_usage_metadata(within) == usage(32, 9, output_token_details={"reasoning": 5})


def test_a_total_that_says_something_else_is_kept_for_the_settlement() -> None:
    found = openai_usage_metadata({**SOUND, "total_tokens": 60})
    assert found == {"input_tokens": 32, "output_tokens": 9, "total_tokens": 60}


def test_cache_writes_keep_their_time_to_live() -> None:
    times = {"ephemeral_5m_input_tokens": "n/a", "ephemeral_1h_input_tokens": 8}
    details = {"cached_tokens": 1, "cache_write_tokens": 8, "cache_creation_token_details": times}
    found = openai_usage_metadata({**SOUND, "prompt_tokens_details": details})
    assert found is not None
    assert found["input_token_details"] == {
        "cache_read": 1,
        "cache_creation": 8,
        "ephemeral_1h_input_tokens": 8,
    }


def test_usage_that_grows_with_every_chunk_is_its_last() -> None:
    assert combined_usage([usage(1000, k) for k in range(1, 201)]) == usage(1000, 200)


def test_a_last_usage_that_comes_twice_counts_once() -> None:
    assert combined_usage([usage(1000, 200), usage(1000, 200)]) == usage(1000, 200)


def test_the_details_of_a_growing_usage_are_their_last() -> None:
    first = usage(1000, 1, input_token_details={"cache_read": 600})
    last = usage(1000, 9, output_token_details={"reasoning": 4})
    assert combined_usage([first, last]) == usage(
        1000, 9, input_token_details={"cache_read": 600}, output_token_details={"reasoning": 4}
    )


@pytest.mark.parametrize(
    "seen",
    [
        # Anthropic: the input first, the output last.
        [usage(1000, 0), usage(0, 200)],
        # Gemini: increments of the output.
        [usage(1000, 50), usage(0, 70), usage(0, 80)],
        # Nothing in the last chunk.
        [usage(1000, 200), usage(0, 0)],
        # The input is repeated, the output is not.
        [usage(1000, 100), usage(1000, 40), usage(1000, 60)],
        # Growing, and zeros in the end.
        [usage(1000, 100), usage(1000, 200), usage(0, 0)],
    ],
)
def test_increments_are_added(seen: list[UsageMetadata]) -> None:
    assert combined_usage(seen) == usage(1000, 200)


def test_no_usage_and_one_usage_stay_what_they_are() -> None:
    assert combined_usage([]) is None
    assert combined_usage([usage(0, 0)]) == usage(0, 0)
    assert combined_usage([usage(7, 2)]) == usage(7, 2)


def test_a_broken_detail_of_one_usage_is_not_added() -> None:
    broken = usage(0, 2, output_token_details={"reasoning": "n/a"})
    whole = usage(7, 2, output_token_details={"reasoning": 1})
    assert combined_usage([whole, broken]) == usage(7, 4, output_token_details={"reasoning": 1})


@pytest.mark.parametrize(
    ("beside", "details"),
    [
        ({"prompt_cache_hit_tokens": 20, "prompt_cache_miss_tokens": 12}, {"cache_read": 20}),
        (
            {
                "cache_read_input_tokens": 1,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30},
            },
            {
                "cache_read": 1,
                "cache_creation": 30,
                "ephemeral_5m_input_tokens": 0,
                "ephemeral_1h_input_tokens": 30,
            },
        ),
        (
            {"prompt_cache_hit_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}},
            {"cache_read": 8},
        ),
        ({"prompt_cache_hit_tokens": "n/a", "cache_creation": [7]}, None),
    ],
)
def test_cached_tokens_are_found_under_the_names_of_other_services(
    beside: dict[str, Any], details: dict[str, int] | None
) -> None:
    more = {} if details is None else {"input_token_details": details}
    assert openai_usage_metadata({**SOUND, **beside}) == usage(32, 9, **more)
