"""What is wrong with the outcome of a hostile response; pure functions from facts to words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aegis_graph.errors import AllProvidersFailedError, RequestRejectedError, RoutingError
from aegis_graph.testing.corpus import HostileResponse, Outcome
from aegis_graph.testing.corpus.hostile_response import PAID, failed
from aegis_graph.testing.corpus.hostile_words import KEY, SECRET
from aegis_graph.testing.hostile_run import SECOND_ANSWER, HostileOutcomes, Result
from aegis_graph.types import FINISH_REASON

_TYPED = {"choices", "tools", "usage"}
"""The groups of responses whose fields are of wrong types."""
LONGEST_REASON = 400
"""Characters: what an attempt's reason may have at most."""


def faults_of(
    responses: Sequence[HostileResponse],
    run: HostileOutcomes,
    *,
    second: bool,
    validates: bool = False,
) -> dict[str, list[str]]:
    """What is wrong, by the names of the responses; ``the batch`` for what is wrong with all."""
    found: dict[str, list[str]] = {}
    for response in responses:
        result = run.results.get(response.name)
        if result is not None:
            rows = run.rows.get(result.route_id, [])
            outcome = _validated(response) if validates else response.outcome
            if faults := list(_faults(outcome, result, rows, second=second)):
                found[response.name] = faults
    if faults := list(_batch_faults(run)):
        found["the batch"] = faults
    return found


def _validated(response: HostileResponse) -> Outcome:
    """What is right for a client that checks the types of all fields."""
    outcome = response.outcome
    if not outcome.texts or response.name.partition(":")[0] not in _TYPED:
        return outcome
    if outcome.bases == {"estimated"}:
        outcome = replace(outcome, bases=frozenset(PAID), tokens=None)
    return outcome | failed("MalformedAnswerError")


def _faults(
    outcome: Outcome, result: Result, rows: Sequence[Mapping[str, Any]], *, second: bool
) -> Iterator[str]:
    if result.error is not None and not isinstance(result.error, RoutingError):
        yield f"raised {type(result.error).__name__}: {str(result.error)[:200]!a}"
        return
    yield from _text_faults(result)
    if not result.attempts or result.attempts[0]["provider"] != "tested":
        yield f"was not asked: {[skip['reason'] for skip in result.skipped]}"
        return
    yield from _row_faults(result, rows)
    first, *others = result.attempts
    if first["cost_basis"] not in outcome.bases:
        yield f"cost is {first['cost_basis']}, and not {sorted(outcome.bases)}"
    if first["status"] == "answered":
        yield from _answer_faults(outcome, result, rows)
    elif first["error_type"] not in outcome.errors:
        right = sorted(outcome.errors) or [f"answered {sorted(outcome.texts)}"]
        yield f"failed with {first['error_type']} ({first['reason']!a:.120}), and not {right}"
    if first["status"] != "answered":
        yield from _next_faults(result, others, second=second)


def _answer_faults(
    outcome: Outcome, result: Result, rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    answer = result.answer
    assert answer is not None
    text = str(answer.text)
    if text not in outcome.texts:
        right = [text[:60] for text in sorted(outcome.texts)] or sorted(outcome.errors)
        yield f"answered {text[:60]!a}, and not {right!a}"
        return
    if outcome.calls is not None:
        calls = [(call["name"], call["args"]) for call in answer.tool_calls]
        if calls != [(name, dict(args)) for name, args in outcome.calls]:
            yield f"called {str(calls)[:120]!a}, and not {str(outcome.calls)[:120]!a}"
    reason = answer.response_metadata.get(FINISH_REASON)
    if outcome.finish_reason is not None and reason != outcome.finish_reason:
        yield f"its finish reason is {reason!a}, and not {outcome.finish_reason!r}"
    if rows and rows[0]["cost_basis"] == "reported" and outcome.tokens is not None:
        tokens = (rows[0]["input_tokens"], rows[0]["output_tokens"])
        if tokens != outcome.tokens:
            yield f"its tokens are {tokens}, and not {outcome.tokens}"


def _next_faults(
    result: Result, others: Sequence[Mapping[str, Any]], *, second: bool
) -> Iterator[str]:
    if not second:
        if not isinstance(result.error, AllProvidersFailedError | RequestRejectedError):
            yield f"ended in {type(result.error).__name__}"
        if others:
            yield f"was asked {len(others) + 1} times"
    elif [one["provider"] for one in others] != ["second"]:
        yield f"the second provider was not asked: {type(result.error).__name__}"
    elif result.answer is None or result.answer.text != SECOND_ANSWER:
        yield "the second provider's answer is not the answer"


def _row_faults(result: Result, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(rows) != len(result.attempts):
        yield f"{len(result.attempts)} attempts have {len(rows)} rows"
        return
    for attempt, row in zip(result.attempts, rows, strict=True):
        for key in ("provider", "status", "error_type", "cost_basis"):
            if attempt[key] != row[key]:
                yield f"the row's {key} is {row[key]!a}, and the attempt's {attempt[key]!a}"
        cost, hold = row["cost_nano_usd"], row["hold_nano_usd"]
        if Decimal(attempt["cost_usd"]) * 10**9 != cost:
            yield f"the row's cost is {cost}, and the attempt's {attempt['cost_usd']}"
        if cost > hold:
            yield f"the cost {cost} is above its hold {hold}"
        if (row["cost_basis"] == "none") is not (cost == 0):
            yield f"the cost is {cost}, and its basis {row['cost_basis']}"
        if row["cost_basis"] == "held" and cost != hold:
            yield f"the cost {cost} is held, and the hold is {hold}"


def _text_faults(result: Result) -> Iterator[str]:
    reasons = [str(row["reason"]) for row in (*result.attempts, *result.skipped)]
    for reason in reasons:
        if len(reason) > LONGEST_REASON:
            yield f"a reason has {len(reason)} characters"
    for text in (*reasons, str(result.error or "")):
        yield from _word_faults(text)


def _word_faults(text: str) -> Iterator[str]:
    if not text.isprintable():
        yield f"a text cannot be printed: {text[:120]!a}"
    for what, words in (("key", KEY), ("prompt", SECRET)):
        if words in text:
            yield f"a text has the {what} in it: {text[:120]!a}"


def _batch_faults(run: HostileOutcomes) -> Iterator[str]:
    for call in run.strayed:
        yield f"a redirect was followed to another origin: {call.path!a}"
    if run.unkeyed:
        yield f"{run.unkeyed} calls came without the key"
    for text in run.reasons:
        yield from _word_faults(text)
    rows = [row for found in run.rows.values() for row in found]
    if still := sum(row["status"] in {"reserved", "expired"} for row in rows):
        yield f"{still} holds are open"
    attempts = [one for result in run.results.values() for one in result.attempts]
    known = {result.route_id for result in run.results.values()}
    kept = sum(row["cost_nano_usd"] for row in rows if row["route_id"] in known)
    spent = sum(Decimal(one["cost_usd"]) for one in attempts) * 10**9
    if kept != spent:
        yield f"the ledger has {kept} nano-USD, and the attempts {spent}"
