"""HTTP/2 requests of a worker: several streams on each connection."""
