"""HTTP/2 without sockets: DATA frames are read here, all other frames by h2 (RFC 9113)."""
