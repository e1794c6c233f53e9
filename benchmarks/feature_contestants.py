"""The router with one of its features, which a call uses or does not."""

from __future__ import annotations

from typing import Any

from contestants import contestant_of_graph, new_router
from worker import Contestant

UNTRACED = {"telemetry": {"otel": False}}
LIMITS = {
    "requests_per_minute": 10**9,
    "tokens_per_minute": 10**12,
    "requests_per_day": 10**9,
    "max_concurrency": 10**6,
}


def plain(*, kind: str, url: str, ledger: str) -> Contestant:
    """The router with nothing but a budget."""
    return contestant_of_graph(new_router(kind, url, ledger, more=UNTRACED))


def with_feature(*, kind: str, url: str, ledger: str, feature: str, used: bool) -> Contestant:
    """The router with one feature, which concerns the call or does not."""
    return {
        "limits": _limited,
        "tags": _tagged,
        "hooks": _hooked,
        "accept": _accepted,
        "telemetry": _traced,
    }[feature](kind, url, ledger, used)


def _limited(kind: str, url: str, ledger: str, used: bool) -> Contestant:
    scope = f"provider:{kind}" if used else "user:someone_else"
    more = {**UNTRACED, "limits": [{"scope": scope, **LIMITS}]}
    return contestant_of_graph(new_router(kind, url, ledger, more=more))


def _tagged(kind: str, url: str, ledger: str, used: bool) -> Contestant:
    scopes = (f"provider:{kind}", "tag:team=search")
    budgets = [{"scope": scope, "window": "month", "limit_usd": 1_000_000} for scope in scopes]
    more = {**UNTRACED, "budgets": budgets}
    given = {"tags": {"team": "search", "env": "live"}} if used else {}
    return contestant_of_graph(new_router(kind, url, ledger, more=more), **given)


def _hooked(kind: str, url: str, ledger: str, used: bool) -> Contestant:
    """Functions before and after each attempt; or one that is asked when the router is built."""
    functions: dict[str, Any] = {"price": lambda row: None}
    if used:
        functions = {
            "before_attempt": lambda attempt: attempt,
            "after_attempt": lambda settled: None,
        }
    return contestant_of_graph(new_router(kind, url, ledger, more=UNTRACED, **functions))


def _accepted(kind: str, url: str, ledger: str, used: bool) -> Contestant:
    gates = {"chat" if used else "answer": "citations"}
    return contestant_of_graph(new_router(kind, url, ledger, more=UNTRACED, accept=gates))


def _traced(kind: str, url: str, ledger: str, used: bool) -> Contestant:
    """With OpenTelemetry's SDK, whose spans go nowhere; or its interface alone."""
    if used:
        _set_up_sdk()
    return contestant_of_graph(new_router(kind, url, ledger))


def _set_up_sdk() -> None:
    from opentelemetry import metrics, trace  # noqa: PLC0415  only where it is measured
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
