"""The one interface between a request and what watches it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from langgraph.errors import GraphBubbleUp

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import environment_value
from aegis_graph.request.request import Request
from aegis_graph.telemetry import request_log
from aegis_graph.telemetry.facts import CallFacts, EndedCall
from aegis_graph.telemetry.suppression import is_suppressed
from aegis_graph.types import SettlementRecord, SkippedRecord

if TYPE_CHECKING:
    from aegis_graph.telemetry.spans import CallSpan, RequestSpan

_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_WANTS_CONTENT = {"true", "span_only", "span_and_event"}
"""Values of the variable by which instrumentations write content into spans."""

_current: ContextVar[WatchedRequest | None] = ContextVar("aegis_watched_request", default=None)


def watched_request() -> WatchedRequest | None:
    """The request that runs here, where anything watches it."""
    return _current.get()


class Telemetry:
    """Finds out for each request whether anything watches, which costs a look at two tables.

    Args:
        config: Says what may be shown.
        environ: Where OpenTelemetry's own variables are looked up, by default the process's.
    """

    def __init__(self, config: RouterConfig, environ: Mapping[str, str] | None) -> None:
        self.spec = config.telemetry
        """The one in force; a reload replaces it."""
        variables = config.variables(environ)
        opted = (environment_value(_OPT_IN, variables) or "").lower().split(",")
        self.old_names = "gen_ai/dup" in {one.strip() for one in opted}
        """Whether spans and metrics have the conventions' older names as well."""
        wanted = (environment_value(_CONTENT, variables) or "").lower()
        self._content = wanted in _WANTS_CONTENT

    @property
    def content(self) -> bool:
        """Whether prompts and answers are wanted in spans."""
        return self.spec.content or self._content

    def is_on(self) -> bool:
        """Whether a request would be seen by anything."""
        return request_log.is_on() or self._has_sdk()

    def request(self) -> WatchedRequest:
        """Begin to watch a request; a context manager around all of it."""
        return WatchedRequest(self._span())

    def _has_sdk(self) -> bool:
        if not self.spec.otel:
            return False
        # An application that has set up an SDK has loaded these; without one they have only their
        # own providers, which do nothing.
        trace: Any = sys.modules.get("opentelemetry.trace")
        metrics: Any = sys.modules.get("opentelemetry.metrics")
        return (trace is not None and not _is_idle(trace.get_tracer_provider())) or (
            metrics is not None and not _is_idle(metrics.get_meter_provider())
        )

    def _span(self) -> RequestSpan | None:
        if not self._has_sdk() or is_suppressed():
            return None
        # Loaded where an application has the SDK, of which this needs the interface.
        from aegis_graph.telemetry.spans import RequestSpan  # noqa: PLC0415

        return RequestSpan(content=self.content, old_names=self.old_names)


class WatchedRequest:
    """A request that something watches, from its first node to its last.

    Args:
        span: Its span, where there is one.
    """

    def __init__(self, span: RequestSpan | None) -> None:
        self._span = span
        self._began = time.monotonic()
        self._request: Request | None = None
        self._route_id = ""
        self._calls: list[tuple[CallFacts, EndedCall]] = []
        self._answered = False

    def __enter__(self) -> Self:
        """Begin; ``entered`` makes it the one that runs here."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End, however the request did."""
        status = self._status(error)
        shown = error if status == "failed" else None
        if self._span is not None:
            self._span.end(status, shown, len(self._calls))
        seconds = time.monotonic() - self._began
        request_log.log_request(
            self._request, self._route_id, self._calls, status, shown, seconds=seconds
        )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be the request that runs here, and its span the current one."""
        token = _current.set(self)
        try:
            with nullcontext() if self._span is None else self._span.current():
                yield
        finally:
            _current.reset(token)

    def describe(self, request: Request, route_id: str) -> None:
        """The request was read."""
        if self._request is None:
            self._request, self._route_id = request, route_id
            if self._span is not None:
                self._span.describe(request, route_id)

    def skip(self, skipped: Sequence[SkippedRecord]) -> None:
        """These providers were passed over."""
        if self._span is not None:
            self._span.skip(skipped)

    def wait(self, waited_s: Mapping[str, float]) -> None:
        """So many seconds were waited for each provider's limits, in all."""
        if self._span is not None:
            self._span.wait(waited_s)

    def call(self, facts: CallFacts) -> WatchedCall:
        """A provider is about to be called."""
        return WatchedCall(self, facts, None if self._span is None else self._span.call(facts))

    def called(self, facts: CallFacts, outcome: EndedCall) -> None:
        """A call has ended."""
        self._calls.append((facts, outcome))
        if outcome.settlement["status"] == "failed":
            request_log.log_failed_attempt(self._request, self._route_id, facts, outcome)

    def refuse(self, settlement: SettlementRecord, reason: str) -> None:
        """A check refused the answer of a call that had ended.

        Args:
            settlement: What the call's settlement has become.
            reason: Why it was refused.
        """
        for place, (facts, ended) in enumerate(self._calls):
            if ended.settlement["hold_id"] == settlement["hold_id"]:
                refused = replace(ended, settlement=settlement, reason=reason)
                self._calls[place] = (facts, refused)
                request_log.log_failed_attempt(self._request, self._route_id, facts, refused)
                if self._span is not None:
                    self._span.refuse(facts, reason)

    def answer(self) -> None:
        """The answer is the caller's, and the ledger has its cost."""
        self._answered = True

    def _status(self, error: BaseException | None) -> str:
        # A reader may stop when it has all of the answer, and a person may be asked first.
        if error is None or (self._answered and isinstance(error, GeneratorExit)):
            return "answered" if self._answered else "paused"
        if isinstance(error, GraphBubbleUp):
            return "paused"
        if isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt):
            return "cancelled"
        return "failed"


class WatchedCall:
    """A call that something watches; a context manager around all of it."""

    def __init__(self, request: WatchedRequest, facts: CallFacts, span: CallSpan | None) -> None:
        self._request = request
        self._facts = facts
        self._span = span

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make its span the current one, so that those of the client are below it."""
        with nullcontext() if self._span is None else self._span.current():
            yield

    def end(self, outcome: EndedCall | None) -> None:
        """It has ended.

        Args:
            outcome: What came of it; ``None`` where nothing was settled.
        """
        if self._span is not None:
            self._span.end(outcome)
        if outcome is not None:
            self._request.called(self._facts, outcome)


def _is_idle(provider: object) -> bool:
    """Whether a provider of tracers or meters is the interface's own, which leads nowhere."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
