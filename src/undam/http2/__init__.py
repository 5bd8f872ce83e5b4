"""HTTP/2 without sockets: an own reader of frames, and h2 for everything but DATA (RFC 9113)."""
