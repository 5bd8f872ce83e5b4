"""Readers of files that define resources of cloud platforms, one module per kind of file."""
