"""Decisions of the gateway: routing, load balancing, hedging, admission and API keys."""
