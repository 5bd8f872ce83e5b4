"""Decisions of the gateway: routing, load balancing, hedging, admission, keys."""
