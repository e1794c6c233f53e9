"""Handlers that turn LangChain's runs into spans of OpenTelemetry, with the tokens of the calls."""

from __future__ import annotations

from langchain_core.callbacks import BaseCallbackHandler

_PACKAGES = frozenset({"openinference", "opentelemetry", "traceloop"})


def makes_spans(handler: BaseCallbackHandler) -> bool:
    """Whether a handler is one of them."""
    packages = {kind.__module__.partition(".")[0] for kind in type(handler).__mro__}
    # LangSmith's tracer does so where it was switched on for its client.
    client = getattr(handler, "client", None)
    return bool(packages & _PACKAGES) or bool(getattr(client, "otel_exporter", None))
