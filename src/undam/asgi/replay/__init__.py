"""Replay of streams to readers that reconnect, from memory or Redis."""
