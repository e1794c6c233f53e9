"""The answers of a batch: read from its files, and each request taken on from there to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.bulk.batch.records import LineRecord
from aegis_graph.errors import ProviderError, ProviderTimeoutError, ProviderUnavailableError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.http.recorded import RECORDED, RecordedResponse
from aegis_graph.providers.waiting_tier import BATCH
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.call import Call
from aegis_graph.routing.exchange.outcome import onward
from aegis_graph.routing.fast_path import FastPathGraph
from aegis_graph.routing.route import admitted_hold, with_choices
from aegis_graph.routing.state import RouterState, in_progress, route_of
from aegis_graph.routing.tracing.watched_runs import watched_call

LineAnswer = RecordedResponse | ProviderError
"""What a provider answered to a line, or why there is no answer."""

_UNSERVED = frozenset({"batch_expired", "batch_cancelled"})
"""Codes of lines that no model saw: neither provider bills them."""


def answers_in(path: Path, *, free_errors: bool) -> Iterator[tuple[str, LineAnswer]]:
    """The answers in a file, each with the name of its line. What is no line is left out.

    Args:
        path: The file.
        free_errors: Whether a line that ended in an error is sure to cost nothing.
    """
    with path.open("rb") as stream:
        for text in stream:
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                row = json.loads(text)
                yield str(row["custom_id"]), _answer(row, free_errors=free_errors)


def _answer(row: Mapping[str, Any], *, free_errors: bool) -> LineAnswer:
    response = row.get("response")
    if isinstance(response, dict) and isinstance(response.get("status_code"), int):
        body = response.get("body")
        if isinstance(body, dict) and response["status_code"] < 400:
            # Whatever tier the model says that it was served in, the line is billed as a batch's.
            body = {**body, "service_tier": BATCH}
        return RecordedResponse(response["status_code"], json.dumps(body).encode())
    code = str((row.get("error") or {}).get("code"))
    if code in _UNSERVED:
        return unserved(code)
    return ProviderTimeoutError(
        f"a line of a batch without an answer ({code:.40})",
        code=code,
        outcome_unknown=not free_errors,
    )


def unserved(why: str) -> ProviderError:
    """In place of the answer to a line that no model saw."""
    return ProviderUnavailableError(f"a line of a batch that was not served ({why})", code=why)


def missing() -> ProviderError:
    """In place of the answer to a line of which a batch that was served says nothing."""
    return ProviderTimeoutError(
        "a line of a batch of which its files say nothing", outcome_unknown=True
    )


def continuation(
    router: FastPathGraph, provider: Provider, line: LineRecord, said: LineAnswer, waited_s: float
) -> Callable[[dict[str, Any], RunnableConfig], Any]:
    """How a request runs whose first attempt was a line: from its answer on, as any other.

    Its reservation is settled by what the answer says; where that is no use, the next provider is
    asked.

    Args:
        router: Which the request is asked of.
        provider: In its tier of batches.
        line: With the attempt's reservation.
        said: The provider's answer.
        waited_s: How long it was waited for, in seconds.
    """
    builder = router.builder
    assert isinstance(builder, RouterBuilder), "a router is built by one"
    nodes = builder.nodes_around
    assert nodes is not None, "assembled"

    async def begin(state: RouterState, config: RunnableConfig) -> Command[Any]:
        state = {**in_progress(state), "route_id": line.route_id}
        request = nodes.read(state, config)
        reason = f"{provider.spec.location}, candidate 1, in a batch"
        route = {**with_choices(route_of(state), request.protecting_choices), "reason": reason}
        state = cast("RouterState", {**state, "route": route})
        assert line.hold_id is not None, "sent with a reservation"
        at = datetime.fromisoformat(line.admitted_at or "")
        hold = admitted_hold(line.hold_id, line.nano_usd or 0, at, provider.tier)
        is_judged = builder.checks.of(request.task) is not None
        call = Call(
            nodes.services,
            provider,
            request,
            state,
            hold,
            config,
            is_judged=is_judged,
            waited_s=waited_s,
        )
        RECORDED.set(said)
        outcome = await watched_call(call, config)
        command = onward(state, [outcome], is_judged=is_judged)
        more = {"route_id": line.route_id, "skipped": []}
        return replace(command, update={**cast("dict[str, Any]", command.update), **more})

    async def invoke(asked: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        return await router.ainvoke_begun(asked, config, begin)

    return invoke
