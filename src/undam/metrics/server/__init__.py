"""Metrics that the model server publishes as Prometheus text, on the time axis of a load test."""
