"""Relay of one request: client connection, attempts, race and response."""
