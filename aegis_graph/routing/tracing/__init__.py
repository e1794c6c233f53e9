"""What tracers and telemetry see of requests and attempts."""
