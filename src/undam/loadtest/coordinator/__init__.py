"""Coordinator of a load test: workers, clusters, protocol, search."""
