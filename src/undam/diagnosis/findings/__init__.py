"""Findings that a diagnosis can report, one module per topic."""
