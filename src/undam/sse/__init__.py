"""Bytes to events and back (WHATWG HTML 9.2.5 and 9.2.6)."""

from undam.sse.event import Comment, Event

__all__ = ["Comment", "Event"]
