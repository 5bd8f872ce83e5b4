"""Validity of a load test: whether its metrics describe the server, with a reason and a remedy."""
