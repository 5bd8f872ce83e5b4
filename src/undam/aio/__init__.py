"""Shared utilities for asyncio programs: deadlines and deferred work."""
