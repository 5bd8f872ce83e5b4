"""Coordinator of a load test: splits the load, runs the workers, collects their results."""
