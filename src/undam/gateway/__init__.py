"""`undam gateway`: a reverse proxy that streams, keeps silence alive, and hedges the tail."""
