"""Relay of requests: client connection, attempts, race and response."""
