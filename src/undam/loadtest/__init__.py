"""`undam bench`: measure an endpoint under load, and say when the figures cannot be trusted."""
