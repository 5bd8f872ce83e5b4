"""HTTP/2 for the client."""
