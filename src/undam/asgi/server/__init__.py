"""Access to the server: its connection, its HTTP/2 streams, and whether it is about to stop."""
