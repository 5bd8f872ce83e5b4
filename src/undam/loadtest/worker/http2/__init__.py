"""Requests of a worker over HTTP/2: several streams on each connection."""
