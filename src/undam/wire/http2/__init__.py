"""HTTP/2 in the client."""
