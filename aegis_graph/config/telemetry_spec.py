"""What the configuration says of spans and metrics."""

from __future__ import annotations

from aegis_graph.config.config_model import ConfigModel


class TelemetrySpec(ConfigModel):
    """What OpenTelemetry is given, where the application has set up its SDK."""

    otel: bool = True
    """Whether spans and metrics are made at all."""
    content: bool = False
    """Whether spans carry prompts and answers, but never those of the private levels."""
