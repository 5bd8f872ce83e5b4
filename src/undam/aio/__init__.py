"""Shared asyncio utilities: deadlines and deferred work."""
