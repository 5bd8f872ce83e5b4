"""Shared HTTP/1.1 code: chunked coding, request parser, headers and socket options."""
