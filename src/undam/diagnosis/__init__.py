"""Arrivals and response heads in, verdicts and findings out. Pure."""
