"""What the tests of spans and metrics share: one SDK for the process, as an application has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Sdk(NamedTuple):
    """The SDK that the application has set up."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader


@cache
def sdk() -> Sdk:
    """Set it up, once: OpenTelemetry takes one for a process."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
    return Sdk(exporter, reader)


def spans() -> dict[str, list[ReadableSpan]]:
    """The spans that have ended, by name, the first one first."""
    found: dict[str, list[ReadableSpan]] = {}
    for span in sorted(sdk().exporter.get_finished_spans(), key=lambda one: one.start_time or 0):
        found.setdefault(span.name, []).append(span)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def own(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def points(name: str) -> list[NumberDataPoint | HistogramDataPoint]:
    """What an instrument has measured."""
    data = sdk().reader.get_metrics_data()
    if data is None:
        return []
    return [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint | HistogramDataPoint)
    ]


def total(name: str, **wanted: str) -> float:
    """The sum of what an instrument has measured, of the points that have these attributes."""
    found = 0.0
    for point in points(name):
        labels: Mapping[str, Any] = point.attributes or {}
        if all(labels.get(key.replace("__", ".")) == value for key, value in wanted.items()):
            found += point.sum if isinstance(point, HistogramDataPoint) else point.value
    return found
