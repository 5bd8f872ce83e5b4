"""Metrics of the model server itself, from its Prometheus text, on the time axis of a load test."""
