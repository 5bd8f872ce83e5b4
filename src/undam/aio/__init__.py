"""Shared parts of programs on an asyncio loop: deadlines and deferred work."""
