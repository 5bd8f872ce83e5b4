"""Validity of a load test: whether its metrics describe the server, with reason and remedy."""
