"""Readers for cloud resources, one module per kind of file."""
