"""Metrics, access log, tracing and the administrative endpoints of the gateway."""
