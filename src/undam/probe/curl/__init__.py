"""Requests from curl command lines."""
