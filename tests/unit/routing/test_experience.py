"""What is expected of a request, from what earlier attempts were like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_core.messages import HumanMessage

from aegis_graph.config.specs import ProviderSpec, RoutingSpec
from aegis_graph.ledger.past_attempts import PastAttempt
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.candidates.experience import Experience
from aegis_graph.routing.candidates.latencies import Times
from aegis_graph.routing.candidates.ranking import FIRST_OUTPUT, Ranking
from aegis_graph.routing.order import Expectation

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PRICE = {
    "input_usd_per_mtok": "2",
    "output_usd_per_mtok": "10",
    "cached_input_usd_per_mtok": "0.5",
}
DOLLARS_PER_MTOK = 1_000
"""Nano-USD of a token at a dollar per million."""


def provider(name: str = "p", **more: Any) -> Provider:
    row = {
        "name": name,
        "kind": "openai",
        "model": f"{name}-1",
        "location": "cloud",
        "base_url": "https://example.com/v1",
        "price": PRICE,
        **more,
    }
    return create_provider(ProviderSpec.model_validate(row), source="test", environ={})


def past(name: str = "p", **more: Any) -> PastAttempt:
    facts = {
        "provider": name,
        "model": f"{name}-1",
        "task": "answer",
        "thread_id": None,
        "moment": NOW,
        "answered": True,
        "cost_nano_usd": 0,
        "input_tokens": 1000,
        "output_tokens": 50,
        "cached_input_tokens": 0,
        "latency_ms": 700,
    }
    return PastAttempt(**{**facts, **more})


def request(size: int = 4000, *, thread: str | None = None, **more: Any) -> Request:
    config: Any = {"configurable": {"thread_id": thread}} if thread else {}
    state = {"messages": [HumanMessage("x" * size)], "task": "answer", **more}
    return Request.from_state(state, config)


def expected(
    asked: Request, *rows: PastAttempt, of: Provider | None = None, at: datetime = NOW
) -> Expectation:
    experience = Experience(None, lambda: NOW)
    experience.replace(rows)
    ranking = Ranking(RoutingSpec(order="price"), experience, ProviderNames([]))
    return ranking.expected(of or provider(), asked, at)


def test_without_any_history_a_token_is_four_bytes_and_the_answer_a_stated_length() -> None:
    found = expected(request())
    # 80 are what a template may add.
    assert (found.input_tokens, found.output_tokens) == (4080 // 4, FIRST_OUTPUT)
    assert found.nano_usd == (1020 * 2 + FIRST_OUTPUT * 10) * DOLLARS_PER_MTOK
    assert expected(request(max_output_tokens=20)).output_tokens == 20
    assert (found.whole_ms, found.first_ms) == (None, None)


def test_answers_are_as_long_as_those_to_this_task_by_this_model() -> None:
    rows = [past(output_tokens=40), past(output_tokens=60), past(task="chat", output_tokens=900)]
    assert 49 <= expected(request(), *rows).output_tokens <= 51
    assert expected(request(max_output_tokens=20), *rows).output_tokens == 20


def test_a_model_without_history_answers_as_others_did_unless_it_thinks() -> None:
    rows = [past("other", output_tokens=40)]
    assert expected(request(), *rows).output_tokens == 40
    thinker = provider(thinking=True, max_output_tokens=700)
    assert expected(request(), *rows, of=thinker).output_tokens == 700


def test_later_answers_count_more() -> None:
    rows = [past(output_tokens=1000)] * 200 + [past(output_tokens=10)] * 200
    assert expected(request(), *rows).output_tokens < 30


def test_tokens_are_counted_as_those_of_this_process_were() -> None:
    experience = Experience(None, lambda: NOW)
    experience.replace([])
    for _ in range(20):
        experience.measure(past(input_tokens=2000), bound=4000, first_ms=None)
    ranking = Ranking(RoutingSpec(), experience, ProviderNames([]))
    assert ranking.expected(provider(), request(), NOW).input_tokens > 1900


def test_what_no_order_asks_for_is_not_counted() -> None:
    experience = Experience(None, lambda: NOW)
    experience.learn(past())
    assert experience.record(("p", "p-1", "answer")) is None


def test_paid_failures_make_an_answer_dearer_and_free_ones_do_not() -> None:
    answers = [past() for _ in range(50)]
    free = [past(answered=False, output_tokens=None) for _ in range(50)]
    paid = [row._replace(cost_nano_usd=1_000_000) for row in free]
    mixed = [row for pair in zip(answers, paid, strict=True) for row in pair]
    base = expected(request(), *answers).nano_usd
    assert expected(request(), *answers, *free).nano_usd == base
    # Half of the attempts fail, so that every answer has one failure on its way.
    assert 800_000 < expected(request(), *mixed).nano_usd - base < 1_000_000


def test_a_provider_that_never_answered_is_dear_and_slow() -> None:
    failed = [past(answered=False, cost_nano_usd=100, latency_ms=2000)] * 5
    found = expected(request(), *failed)
    assert found.nano_usd > expected(request()).nano_usd
    assert found.whole_ms is not None
    assert found.whole_ms > 9000


def test_a_conversation_finds_its_last_prompt_in_the_cache_of_its_provider() -> None:
    rows = [past(thread_id="t", input_tokens=900)]
    asked = request(thread="t")
    assert expected(asked, *rows).cached_tokens == 900
    assert expected(asked, *rows).nano_usd == ((1020 - 900) * 2_000 + 900 * 500 + 50 * 10_000)
    assert expected(request(thread="other"), *rows).cached_tokens == 0
    elsewhere = expected(asked, *rows, of=provider("q"))
    assert elsewhere.cached_tokens == 0
    late = expected(asked, *rows, at=NOW + timedelta(minutes=6))
    assert late.cached_tokens == 0


def test_a_cache_is_believed_as_far_as_it_was_seen_to_work() -> None:
    misses = [past(thread_id="t", input_tokens=900) for _ in range(60)]
    assert expected(request(thread="t"), *misses).cached_tokens < 900 * 15 // 100
    hits = [past(thread_id="t", input_tokens=900, cached_input_tokens=450) for _ in range(60)]
    assert 440 < expected(request(thread="t"), *hits).cached_tokens < 520


def test_a_shared_beginning_is_expected_of_new_conversations_too() -> None:
    rows = [past(cached_input_tokens=500) for _ in range(60)]
    assert 450 < expected(request(), *rows).cached_tokens < 520


def test_the_hour_the_tier_and_the_size_decide_the_price() -> None:
    price = {
        **PRICE,
        "hours": [{"from": "00:00", "to": "06:00", "input_usd_per_mtok": "1"}],
        "service_tiers": {"flex": {"input_usd_per_mtok": "0.2", "output_usd_per_mtok": "1"}},
        "tiers": [{"up_to": 100, "input_usd_per_mtok": "20"}],
    }
    day, night = NOW, NOW.replace(hour=3)
    plain, flex = (
        provider(price=price),
        provider(price=price, options={"service_tier": "flex"}),
    )
    output = FIRST_OUTPUT * 10_000
    assert expected(request(), of=plain, at=day).nano_usd == 1020 * 2_000 + output
    assert expected(request(), of=plain, at=night).nano_usd == 1020 * 1_000 + output
    assert expected(request(), of=flex, at=day).nano_usd == 1020 * 200 + FIRST_OUTPUT * 1_000
    small = expected(request(size=8), of=plain, at=day)
    assert small.nano_usd == small.input_tokens * 20_000 + output


def test_the_median_goes_with_the_last_times_and_bears_one_that_is_far_off() -> None:
    times = Times()
    for ms in [100] * 20 + [60_000]:
        times = times.plus(ms)
    assert times.median_ms == 100
    for _ in range(9):
        times = times.plus(900)
    assert times.median_ms == 900


def test_a_process_that_reads_the_ledger_again_keeps_what_only_it_knows() -> None:
    experience = Experience(None, lambda: NOW)
    experience.replace([])
    experience.learn(past())
    experience.measure(past(), bound=1000, first_ms=80)
    experience.replace([past(output_tokens=7)])
    subject = ("p", "p-1", "answer")
    assert experience.measured(subject).first.median_ms == 80
    record = experience.record(subject)
    assert record is not None
    assert record.output.of(1) == 7
