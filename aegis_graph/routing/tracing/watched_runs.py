"""A request as telemetry watches it: from its entry to its end, and around each call.

A stream's reader runs between two of its pieces, and is never inside the request's span.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from aegis_graph.config.specs import EmbeddingSpec
from aegis_graph.providers.system_names import system_name
from aegis_graph.request.request import Request
from aegis_graph.routing.call import Call
from aegis_graph.routing.exchange.outcome import CallOutcome
from aegis_graph.routing.exchange.reported_usage import reported_usage
from aegis_graph.routing.observer import observer_in
from aegis_graph.routing.tracing.span_makers import makes_spans
from aegis_graph.telemetry.facts import CallFacts, EndedCall
from aegis_graph.telemetry.telemetry import Telemetry, watched_request
from aegis_graph.types import LOCAL_ONLY, SettlementRecord

Piece = TypeVar("Piece")
T = TypeVar("T")


async def watched_stream(
    open_stream: Callable[[], AsyncIterator[Piece]], telemetry: Telemetry
) -> AsyncIterator[Piece]:
    """The pieces of a stream that something watches."""
    with telemetry.request() as watched:
        with watched.entered():
            stream: Any = open_stream()
        async with aclosing(stream):
            while True:
                with watched.entered():
                    try:
                        piece = await anext(stream)
                    except StopAsyncIteration:
                        return
                yield piece


def watched_stream_sync(
    open_stream: Callable[[], Iterator[Piece]], telemetry: Telemetry
) -> Iterator[Piece]:
    """The same for synchronous callers."""
    with telemetry.request() as watched:
        with watched.entered():
            stream: Any = open_stream()
        with closing(stream):
            while True:
                with watched.entered():
                    try:
                        piece = next(stream)
                    except StopIteration:
                        return
                yield piece


async def watched_run(run: Awaitable[T], telemetry: Telemetry) -> T:
    """The outcome of a request that something watches."""
    with telemetry.request() as watched, watched.entered():
        return await run


async def watched_call(call: Call, config: RunnableConfig) -> CallOutcome:
    """Make a call, and say what came of it where anything watches."""
    request_around = watched_request()
    if request_around is None:
        return await call.make()
    watched = request_around.call(_facts(call, config))
    outcome = None
    try:
        with watched.entered():
            outcome = await call.make()
        return outcome
    finally:
        watched.end(_ended(call, outcome))


def _facts(call: Call, config: RunnableConfig) -> CallFacts:
    provider, request = call.provider, call.request
    return CallFacts(
        number=call.number,
        provider=provider.spec.name,
        model=provider.spec.model,
        system=system_name(provider),
        operation="embeddings" if isinstance(provider.spec, EmbeddingSpec) else "chat",
        address=provider.address,
        max_tokens=call.output_cap,
        streams=call.streams,
        messages=request.messages,
        text_only=not request.has_images,
        counted_elsewhere=_counted_elsewhere(request, config),
    )


def _ended(call: Call, outcome: CallOutcome | None) -> EndedCall | None:
    """What came of a call; of one that was cancelled there is no outcome, but a settlement."""
    settlement = call.settlement
    if settlement is None:
        return None
    failed = settlement["status"] == "failed"
    return EndedCall(
        settlement=settlement,
        has_usage=_is_own_count(settlement, call.answer),
        first_ms=call.timer.first_piece_ms,
        answer=call.answer,
        reason=outcome.record["reason"] if outcome is not None and failed else "",
    )


def _is_own_count(settlement: SettlementRecord, answer: AIMessage | None) -> bool:
    """Whether the tokens are those that the provider counted, and no bound of ours."""
    usage = None if answer is None else reported_usage(answer)
    counted = (settlement["input_tokens"], settlement["output_tokens"])
    return usage is not None and counted in [
        (one.input_tokens, one.output_tokens) for one in usage.readings
    ]


def _counted_elsewhere(request: Request, config: RunnableConfig) -> bool:
    """Whether a handler makes a span of OpenTelemetry with the tokens of the same call."""
    if request.sensitivity in LOCAL_ONLY:
        # Such a request runs without any of them.
        return False
    run, callbacks = observer_in(config).run, config.get("callbacks")
    found: list[BaseCallbackHandler] = []
    if run is not None:
        found += run.handlers
    if isinstance(callbacks, BaseCallbackManager):
        found += callbacks.handlers
    return any(makes_spans(one) for one in found)
