"""`undam gateway`: a reverse proxy for token streams, with heartbeats, retries and hedging."""
