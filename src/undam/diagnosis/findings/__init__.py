"""Findings that a diagnosis can report, one topic a module."""
