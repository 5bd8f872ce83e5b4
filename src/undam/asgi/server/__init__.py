"""Access to the server: its connection, its HTTP/2 streams, and its shutdown state."""
