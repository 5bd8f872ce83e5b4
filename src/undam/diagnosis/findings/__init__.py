"""Findings that a diagnosis can report, with one module per topic."""
