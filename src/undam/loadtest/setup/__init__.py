"""Preparation of a load test: plan, prompts, objectives, target."""
