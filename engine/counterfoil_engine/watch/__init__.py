"""What others watch the engine by: figures for Prometheus, traces for OpenTelemetry. No rule, no record."""
