"""Relay of another model API's stream, with all events unchanged."""
