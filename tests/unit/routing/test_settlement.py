"""What an attempt turned into, from what the provider said to the ledger's row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    MalformedAnswerError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
)
from aegis_graph.pricing.configured import ConfiguredRates
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import NO_COST, Price, most_usd
from aegis_graph.pricing.rates import Rate, TokenUsage
from aegis_graph.routing.exchange.reported_usage import reported_usage, with_whole_usage
from aegis_graph.routing.reservation import Bound
from aegis_graph.routing.route import admitted_hold
from aegis_graph.routing.settlement import TEMPLATE_MARGIN, SettlementCalculator
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.types import UNBELIEVED, SettlementRecord

RATE = Rate(Decimal(2), Decimal(10), cached_input=Decimal(1))
PRICE = Price.flat(RATE)
PROMPT, CAP = 100, 50
LATENCY = {"latency_ms": 7}
HOLD = to_nano_usd(most_usd(PRICE, PROMPT, CAP))
NOW = datetime(2026, 11, 29, 5, 59, tzinfo=UTC)
OPEN_HOLD = admitted_hold(1, HOLD, NOW)
BOUND = Bound(input_tokens=PROMPT, output_cap=CAP, output_tokens=CAP)


def calculator() -> SettlementCalculator:
    return SettlementCalculator(OPEN_HOLD, BOUND, PRICE, provider="acme")


def answer(text: str, tokens: tuple[int, int] | None, **details: Any) -> AIMessage:
    if tokens is None:
        return AIMessage(text)
    counts = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    usage: UsageMetadata = {**counts, **details}  # type: ignore[typeddict-item]
    return AIMessage(text, usage_metadata=usage)


def recorded(*chunks: AIMessageChunk) -> StreamRecorder:
    recorder = StreamRecorder()
    for chunk in chunks:
        generation = ChatGenerationChunk(message=chunk)
        recorder.on_llm_new_token("", chunk=generation, run_id=uuid4())
    return recorder


def cost_and_basis(record: SettlementRecord) -> tuple[int, str]:
    return record["cost_nano_usd"], record["cost_basis"]


def test_usage_that_the_provider_reports_is_believed() -> None:
    record = calculator().answered(answer("Hello", (80, 5)), **LATENCY)
    assert record == {
        "hold_id": 1,
        "status": "answered",
        "error_type": None,
        "cost_nano_usd": 80 * 2000 + 5 * 10_000,
        "cost_basis": "reported",
        "input_tokens": 80,
        "output_tokens": 5,
        "cached_input_tokens": None,
        "reasoning_tokens": None,
        "latency_ms": 7,
        "cache_write_tokens": None,
        "service_tier": None,
        "served_model": None,
        "first_token_ms": None,
        "overrun": 0,
    }


def test_cached_and_reasoning_tokens_are_kept_and_cached_ones_cost_less() -> None:
    details = {
        "input_token_details": {"cache_read": 60},
        "output_token_details": {"reasoning": 3},
    }
    record = calculator().answered(answer("Hello", (80, 5), **details), **LATENCY)
    assert cost_and_basis(record) == (20 * 2000 + 60 * 1000 + 5 * 10_000, "reported")
    assert (record["cached_input_tokens"], record["reasoning_tokens"]) == (60, 3)


def test_more_cached_tokens_than_input_are_taken_for_all_of_the_input() -> None:
    record = calculator().answered(
        answer("Hello", (80, 5), input_token_details={"cache_read": 1000}), **LATENCY
    )
    assert cost_and_basis(record) == (80 * 1000 + 5 * 10_000, "reported")


def test_cached_and_written_tokens_are_never_more_than_the_input() -> None:
    details = {"cache_read": 60, "cache_creation": 60}
    usage = reported_usage(answer("Hello", (80, 5), input_token_details=details))
    assert usage is not None
    assert usage.readings == (TokenUsage(80, 5, cached_input_tokens=60, cache_write_tokens=20),)


@pytest.mark.parametrize("tokens", [None, (0, 0), (80, 0), (0, 5)])
def test_missing_counts_and_zeros_for_text_that_is_there_are_not_believed(
    tokens: tuple[int, int] | None,
) -> None:
    record = calculator().answered(answer("Hello", tokens), **LATENCY)
    assert cost_and_basis(record) == (PROMPT * 2000 + 5 * 10_000, "estimated")
    assert (record["input_tokens"], record["output_tokens"]) == (PROMPT, 5)


def test_zero_output_for_no_text_is_believed() -> None:
    assert cost_and_basis(calculator().answered(answer("", (80, 0)), **LATENCY)) == (
        160_000,
        "reported",
    )


def test_tool_calls_without_text_count_as_output() -> None:
    message = answer("", (80, 0)).model_copy(
        update={"tool_calls": [{"name": "find", "args": {"q": "x"}, "id": "1"}]}
    )
    record = calculator().answered(message, **LATENCY)
    assert record["cost_basis"] == "estimated"
    assert (record["output_tokens"] or 0) >= len("find") + len("q") + len("x")


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
)
def test_no_count_that_a_server_can_report_makes_a_negative_cost(
    tokens_in: int, tokens_out: int, cached: int, written: int
) -> None:
    details = {"cache_read": cached, "cache_creation": written}
    message = answer("Hello", (tokens_in, tokens_out), input_token_details=details)
    record = calculator().answered(message, **LATENCY)
    assert record["cost_nano_usd"] >= 0
    counts = (record["input_tokens"], record["output_tokens"], record["cached_input_tokens"])
    assert all(count is None or count >= 0 for count in counts)
    assert record["cost_nano_usd"] <= HOLD + TEMPLATE_MARGIN * 2000
    if record["cost_basis"] == "reported":
        assert record["cost_nano_usd"] >= max(tokens_in, 0) * 1000 + max(tokens_out, 0) * 10_000


REFUSED: list[ProviderError] = [
    ProviderUnavailableError("HTTP 503", status=503),
    RateLimitError("HTTP 429", status=429),
    AuthenticationError("HTTP 401", status=401),
    QuotaError("HTTP 402", status=402),
    BadRequestError("HTTP 400", status=400),
    ContentRefusedError("HTTP 400", status=400),
    ProviderUnavailableError("cannot connect"),
]
UNKNOWN: list[ProviderError] = [
    ProviderTimeoutError("too late", outcome_unknown=True),
    ProviderUnavailableError("dropped", outcome_unknown=True),
    MalformedAnswerError("nonsense"),
    StreamCutError("cut"),
]


@pytest.mark.parametrize("error", REFUSED, ids=str)
def test_a_refusal_costs_nothing(error: ProviderError) -> None:
    record = calculator().failed(error, None, recorded(), **LATENCY)
    assert cost_and_basis(record) == (0, "none")
    assert (record["status"], record["error_type"]) == ("failed", type(error).__name__)
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)


@pytest.mark.parametrize("error", UNKNOWN, ids=str)
def test_an_unknown_outcome_keeps_the_whole_hold(error: ProviderError) -> None:
    record = calculator().failed(error, None, recorded(), **LATENCY)
    assert cost_and_basis(record) == (HOLD, "held")
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)


@pytest.mark.parametrize("error", [*REFUSED, *UNKNOWN], ids=str)
def test_what_was_heard_before_a_failure_is_estimated(error: ProviderError) -> None:
    recorder = recorded(AIMessageChunk(content="Hel"), AIMessageChunk(content="lo"))
    record = calculator().failed(error, None, recorder, **LATENCY)
    assert cost_and_basis(record) == (PROMPT * 2000 + 5 * 10_000, "estimated")


def test_a_complete_answer_that_was_refused_afterwards_costs_what_was_reported() -> None:
    error = ContentRefusedError("withheld")
    record = calculator().failed(error, answer("Hello", (80, 5)), recorded(), **LATENCY)
    assert cost_and_basis(record) == (210_000, "reported")
    assert (record["status"], record["error_type"]) == ("failed", "ContentRefusedError")


def test_a_cancelled_call_keeps_the_hold_until_something_was_heard() -> None:
    silent = calculator().cancelled(recorded(AIMessageChunk(content="")), **LATENCY)
    assert (silent["status"], *cost_and_basis(silent)) == ("cancelled", HOLD, "held")
    spoken = calculator().cancelled(recorded(AIMessageChunk(content="Hello")), **LATENCY)
    assert cost_and_basis(spoken) == (PROMPT * 2000 + 5 * 10_000, "estimated")


@pytest.mark.parametrize(
    "chunk",
    [
        AIMessageChunk(content="Hello"),
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hello"}),
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args="Hello", index=0)]),
    ],
)
def test_text_reasoning_and_tool_calls_are_all_heard(chunk: AIMessageChunk) -> None:
    assert recorded(chunk).has_content
    assert recorded(chunk, chunk).text == "HelloHello"


def test_an_estimate_is_never_above_the_hold() -> None:
    record = calculator().answered(answer("x" * 10_000, None), **LATENCY)
    assert record["output_tokens"] == CAP
    assert cost_and_basis(record) == (HOLD, "estimated")


BEYOND = [(10**9, 10**9), (PROMPT + TEMPLATE_MARGIN + 1, 5), (80, CAP + 1), (10**9, 0)]


@pytest.mark.parametrize("tokens", BEYOND, ids=str)
def test_usage_that_cannot_be_true_costs_the_hold_and_is_marked(
    tokens: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    record = calculator().answered(answer("" if tokens[1] == 0 else "Hello", tokens), **LATENCY)
    assert cost_and_basis(record) == (HOLD, "held")
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)
    assert record["overrun"] == UNBELIEVED
    (line,) = caplog.messages
    assert line.startswith(f"provider acme: {tokens[0]} input and {tokens[1]} output tokens cannot")


def test_counts_of_what_costs_nothing_are_taken_as_they_are() -> None:
    free = SettlementCalculator(admitted_hold(1, 0, NOW), BOUND, NO_COST)
    record = free.answered(answer("Hello", (90_000, 5)), **LATENCY)
    assert cost_and_basis(record) == (0, "reported")
    assert (record["input_tokens"], record["overrun"]) == (90_000, 0)


def test_a_system_prompt_of_the_server_is_paid_for_above_the_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = calculator().answered(answer("x" * CAP, (PROMPT + 300, CAP)), **LATENCY)
    assert cost_and_basis(record) == (HOLD + 300 * 2000, "reported")
    assert record["overrun"] == 300 * 2000
    assert caplog.messages == [
        "provider acme: an attempt cost $0.0013, which is $0.0006 above its reservation"
    ]


def test_a_cap_that_a_server_ignored_is_believed_as_far_as_its_text_goes() -> None:
    text = "x" * 3 * CAP
    believed = calculator().answered(answer(text, (80, 3 * CAP)), **LATENCY)
    assert cost_and_basis(believed) == (80 * 2000 + 3 * CAP * 10_000, "reported")
    assert believed["overrun"] == believed["cost_nano_usd"] - HOLD
    beyond = calculator().answered(answer(text, (80, 3 * CAP + 1)), **LATENCY)
    assert cost_and_basis(beyond) == (HOLD, "held")


@pytest.mark.parametrize(
    ("counts", "reasoning", "paid", "basis"),
    [
        # Beside the output, as the total says (xAI).
        ((32, 9, 41 + 34), 34, (32, 43), "reported"),
        # A part of it.
        ((32, 9, 41), 5, (32, 9), "reported"),
        # More than what it is said to be a part of.
        ((32, 9, 41), 34, (32, 43), "estimated"),
        # The total says more, and nothing says of what: the dearest.
        ((32, 9, 51), None, (32, 19), "estimated"),
        # It cannot be output, because there may be no more of it.
        ((32, 50, 92), None, (42, 50), "estimated"),
        # It cannot be either.
        ((32, 9, 9_000), None, (32, 9), "estimated"),
        # The total says less.
        ((32, 9, 20), None, (32, 9), "estimated"),
        # A total of 0 says nothing.
        ((32, 9, 0), None, (32, 9), "reported"),
    ],
)
def test_counts_that_do_not_add_up_are_read_the_dearest_way_that_can_be_true(
    counts: tuple[int, int, int],
    reasoning: int | None,
    paid: tuple[int, int],
    basis: str,
) -> None:
    usage = dict(zip(("input_tokens", "output_tokens", "total_tokens"), counts, strict=True))
    details = {} if reasoning is None else {"output_token_details": {"reasoning": reasoning}}
    message = answer("Hello", (1, 1)).model_copy(update={"usage_metadata": {**usage, **details}})
    record = calculator().answered(with_whole_usage(message, recorded()), **LATENCY)
    assert cost_and_basis(record) == (paid[0] * 2000 + paid[1] * 10_000, basis)
    assert (record["input_tokens"], record["output_tokens"]) == paid


@pytest.mark.parametrize(
    "value", [5.5, "n/a", 2**63, True, None, [], {}, float("nan"), float("inf"), -1], ids=repr
)
def test_what_is_no_count_is_estimated_and_as_a_detail_dropped(value: object) -> None:
    usage = answer("Hello", (80, 5)).usage_metadata
    for name in ("input_tokens", "output_tokens"):
        message = answer("Hello", None).model_copy(
            update={"usage_metadata": {**usage, name: value}}  # type: ignore[dict-item]
        )
        record = calculator().answered(with_whole_usage(message, recorded()), **LATENCY)
        assert cost_and_basis(record) == (PROMPT * 2000 + 5 * 10_000, "estimated")
    for details in (value, {"cache_read": value, "reasoning": value}):
        named = {"input_token_details": details, "output_token_details": details}
        message = answer("Hello", None).model_copy(
            update={"usage_metadata": {**usage, "total_tokens": value, **named}}  # type: ignore[dict-item]
        )
        record = calculator().answered(with_whole_usage(message, recorded()), **LATENCY)
        assert cost_and_basis(record) == (80 * 2000 + 5 * 10_000, "reported")
        assert (record["cached_input_tokens"], record["reasoning_tokens"]) == (None, None)


def chunk(text: str, *tokens: int) -> AIMessageChunk:
    counted = answer("", tokens) if tokens else answer("", None)  # type: ignore[arg-type]
    return AIMessageChunk(content=text, usage_metadata=counted.usage_metadata)


def test_a_usage_that_grows_from_chunk_to_chunk_is_counted_once() -> None:
    chunks = [chunk("a ", 100, k) for k in range(1, 31)] + [chunk("", 100, 30)]
    summed = answer("a " * 30, (3_100, 495))
    whole = with_whole_usage(summed, recorded(*chunks))
    assert whole.usage_metadata == answer("", (100, 30)).usage_metadata
    assert cost_and_basis(calculator().answered(whole, **LATENCY)) == (500_000, "reported")


def test_a_single_usage_of_a_stream_is_the_answers_own() -> None:
    message = answer("Hello", (80, 5))
    assert with_whole_usage(message, recorded(chunk("Hello"), chunk("", 80, 5))) is message


def test_a_price_by_the_hour_is_that_of_the_admission() -> None:
    dear = Rate(Decimal(20), Decimal(100))
    night = Price(lambda moment, tier: (RATE if moment.hour < 6 else dear,))
    settled = SettlementCalculator(admitted_hold(1, HOLD, NOW), BOUND, night)
    assert cost_and_basis(settled.answered(answer("Hello", (80, 5)), **LATENCY)) == (
        80 * 2000 + 5 * 10_000,
        "reported",
    )
    later = admitted_hold(1, 10 * HOLD, NOW + timedelta(hours=1))
    settled = SettlementCalculator(later, BOUND, night)
    assert settled.answered(answer("Hello", (80, 5)), **LATENCY)["cost_nano_usd"] == 2_100_000


@pytest.mark.parametrize(
    ("details", "usd"),
    [
        ({"cache_creation": 0, "ephemeral_1h_input_tokens": 100_000}, "0.600105"),
        ({"cache_creation": 100_000, "ephemeral_1h_input_tokens": 100_000}, "0.600105"),
        ({"cache_creation": 0, "ephemeral_5m_input_tokens": 100_000}, "0.375105"),
        ({"cache_creation": 100_000}, "0.375105"),
    ],
)
def test_cache_writes_cost_what_their_time_to_live_costs(details: dict[str, int], usd: str) -> None:
    given = {"input_usd_per_mtok": "3", "output_usd_per_mtok": "15"}
    rates = ConfiguredRates(PriceSpec.model_validate(given), "claude-sonnet-4-6", thinks=False)
    bound = Bound(input_tokens=100_100, output_cap=CAP, output_tokens=CAP)
    hold = admitted_hold(1, to_nano_usd(most_usd(Price(rates), bound.input_tokens, CAP)), NOW)
    message = answer("Hello", (100_010, 5), input_token_details=details)
    record = SettlementCalculator(hold, bound, Price(rates)).answered(message, **LATENCY)
    assert cost_and_basis(record) == (to_nano_usd(Decimal(usd)), "reported")
    assert (record["cache_write_tokens"], record["overrun"]) == (100_000, 0)


@pytest.mark.parametrize(
    ("prefix", "tier", "usd"),
    [("", None, 100), ("priority_", "priority", 200), ("flex_", "flex", 50)],
)
def test_a_service_tier_has_its_own_price_and_names_its_details(
    prefix: str, tier: str | None, usd: int
) -> None:
    prices = {None: Decimal(1), "priority": Decimal(2), "flex": Decimal("0.5")}
    rates = {name: (Rate(one, one, cached_input=one / 2),) for name, one in prices.items()}
    price = Price(lambda moment, name: rates.get(name))
    details: dict[str, Any] = {
        "input_token_details": {f"{prefix}cache_read": 20, **({tier: 70} if tier else {})},
        "output_token_details": {f"{prefix}reasoning": 3, **({tier: 17} if tier else {})},
    }
    settled = SettlementCalculator(OPEN_HOLD, BOUND, price)
    record = settled.answered(answer("Hello", (90, 20), **details), **LATENCY)
    assert cost_and_basis(record) == (usd * 1000, "reported")
    assert (record["cached_input_tokens"], record["reasoning_tokens"]) == (20, 3)
    assert record["service_tier"] == tier


def test_a_tier_without_a_price_is_estimated_at_the_standard_one() -> None:
    message = answer("Hello", (80, 5))
    message.response_metadata["service_tier"] = "flex"
    record = calculator().answered(message, **LATENCY)
    assert cost_and_basis(record) == (210_000, "estimated")
    assert record["service_tier"] == "flex"
    message.response_metadata["service_tier"] = "default"
    assert calculator().answered(message, **LATENCY)["cost_basis"] == "reported"


def test_sound_that_has_no_price_is_estimated() -> None:
    message = answer("Hello", (80, 5), input_token_details={"audio": 60})
    assert cost_and_basis(calculator().answered(message, **LATENCY)) == (210_000, "estimated")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("gpt-4ogpt-4o", "gpt-4o"),
        ("\x1b]0;PWNED\x07gpt", "]0;PWNEDgpt"),
        ("a\u0000b\ud800", "ab"),
        ("xy" * 50 + "z" * 500, "xy" * 50 + "z" * 100),
        ("", None),
        (7, None),
        (["gpt"], None),
    ],
)
def test_the_model_that_the_server_names_is_kept_as_a_short_printable_text(
    said: object, kept: str | None
) -> None:
    message = answer("Hello", (80, 5))
    message.response_metadata.update(model_name=said, service_tier=said)
    record = calculator().answered(message, **LATENCY)
    assert (record["served_model"], record["service_tier"]) == (kept, kept)
