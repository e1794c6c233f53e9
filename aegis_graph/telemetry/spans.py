"""Spans of a request and of its attempts; loaded where an application has set up OpenTelemetry.

The names are those of the GenAI conventions; what these have no name for begins with ``aegis.``.
Tokens and cost stand on the attempts' spans alone: who adds up all spans counts each once.

Source: https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from aegis_graph.errors import RoutingError
from aegis_graph.request.request import Request
from aegis_graph.telemetry.attributes import before_call, old_attributes, settled_attributes
from aegis_graph.telemetry.content import input_attributes, output_attributes
from aegis_graph.telemetry.facts import CallFacts, EndedCall
from aegis_graph.telemetry.metrics import instruments
from aegis_graph.types import LOCAL_ONLY, SkippedRecord


class RequestSpan:
    """The span of one request, below whatever is current where it begins.

    Args:
        content: Whether prompts and answers are wanted in the spans of its attempts.
        old_names: Whether the conventions' older names are wanted as well.
    """

    def __init__(self, *, content: bool, old_names: bool) -> None:
        self._content = content
        self._old_names = old_names
        self._private = False
        self._conversation: str | None = None
        self._skipped: set[tuple[str, str]] = set()
        self._waited_s: dict[str, float] = {}
        self._span = _tracer().start_span("route", kind=SpanKind.INTERNAL)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the current span for a block."""
        with _attached(self._span):
            yield

    def describe(self, request: Request, route_id: str) -> None:
        """Name it after the request."""
        self._private = request.sensitivity in LOCAL_ONLY
        self._conversation = request.thread_id
        self._span.update_name(f"route {request.task}")
        facts = {
            "aegis.route_id": route_id,
            "aegis.task": request.task,
            "aegis.sensitivity": request.sensitivity,
            "aegis.run_id": request.run_id,
            "gen_ai.conversation.id": request.thread_id,
        }
        self._span.set_attributes(_known(facts))

    def skip(self, skipped: Sequence[SkippedRecord]) -> None:
        """An event for each provider that was passed over, once for each reason."""
        for row in skipped:
            key = (row["provider"], row["code"])
            if key in self._skipped:
                continue
            self._skipped.add(key)
            facts: dict[str, str] = {
                "aegis.provider": row["provider"],
                "aegis.model": row["model"],
                "aegis.code": row["code"],
            }
            if not self._private:
                facts["aegis.reason"] = row["reason"]
            self._span.add_event("aegis.candidate_skipped", facts)

    def refuse(self, facts: CallFacts, reason: str) -> None:
        """An event for an answer that a check refused; its attempt's span has ended."""
        refused: dict[str, str | int] = {
            "aegis.provider": facts.provider,
            "aegis.model": facts.model,
            "aegis.attempt": facts.number,
        }
        if not self._private:
            refused["aegis.reason"] = reason
        self._span.add_event("aegis.answer_refused", refused)

    def wait(self, waited_s: Mapping[str, float]) -> None:
        """Record what was waited for a provider since the last time."""
        for provider, total_s in waited_s.items():
            more_s = total_s - self._waited_s.get(provider, 0.0)
            if more_s > 0:
                instruments().queue.record(more_s, {"aegis.provider": provider})
                self._span.add_event(
                    "aegis.queued", {"aegis.provider": provider, "aegis.queue.duration": more_s}
                )
            self._waited_s[provider] = total_s

    def call(self, facts: CallFacts) -> CallSpan:
        """Begin the span of an attempt."""
        content = self._content and not self._private
        return CallSpan(
            facts,
            self._span,
            conversation=self._conversation,
            private=self._private,
            content=content,
            old_names=self._old_names,
        )

    def end(self, status: str, error: BaseException | None, attempts: int) -> None:
        """End it.

        Args:
            status: How the request ended.
            error: With which it failed.
            attempts: How many there were.
        """
        self._span.set_attributes({"aegis.status": status, "aegis.attempts": attempts})
        if error is not None:
            # The router's own errors are cleaned of the prompt; what others say is not repeated.
            shown = isinstance(error, RoutingError) and not self._private
            _fail(self._span, type(error).__name__, str(error) if shown else None)
        self._span.end()


class CallSpan:
    """The span of one attempt, and the measurements of it."""

    def __init__(
        self,
        facts: CallFacts,
        parent: Span,
        *,
        conversation: str | None,
        private: bool,
        content: bool,
        old_names: bool,
    ) -> None:
        self._facts = facts
        self._private = private
        self._content = content
        self._old_names = old_names
        attributes = before_call(facts)
        if old_names:
            attributes |= old_attributes(attributes)
        if conversation is not None:
            attributes["gen_ai.conversation.id"] = conversation
        self._span = _tracer().start_span(
            f"{facts.operation} {facts.model}",
            context=trace.set_span_in_context(parent),
            # A model in this process is called over no network.
            kind=SpanKind.INTERNAL if facts.address is None else SpanKind.CLIENT,
            attributes=attributes,
        )

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the current span for a block."""
        with _attached(self._span):
            yield

    def end(self, outcome: EndedCall | None) -> None:
        """End it, with what the attempt used and cost."""
        if outcome is None:
            self._span.end()
            return
        if self._span.is_recording():
            attributes = settled_attributes(self._facts, outcome)
            if self._old_names:
                attributes |= old_attributes(attributes)
            if self._content:
                attributes |= input_attributes(self._facts)
                attributes |= output_attributes(outcome.answer)
            self._span.set_attributes(attributes)
            failed = outcome.settlement["error_type"]
            if failed is not None:
                _fail(self._span, failed, None if self._private else outcome.reason)
        self._span.end()
        instruments().measure(self._facts, outcome, old_names=self._old_names)


@contextmanager
def _attached(span: Span) -> Iterator[None]:
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)


def _fail(span: Span, error_type: str, description: str | None) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, description)


def _known(facts: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in facts.items() if value is not None}


def _tracer() -> trace.Tracer:
    return trace.get_tracer("aegis_graph", package_version())


@cache
def package_version() -> str | None:
    """The version of this package, as the scope of its spans and metrics names it."""
    try:
        return version("aegis-graph")
    except PackageNotFoundError:
        return None
