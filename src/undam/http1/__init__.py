"""HTTP/1.1 syntax: chunked coding, request parsing and header rules (RFC 9112)."""
