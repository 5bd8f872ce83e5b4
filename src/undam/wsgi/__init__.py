"""Event streams from Flask and Django under WSGI, as far as WSGI can."""

from undam.wsgi.stream import Options, StreamBody, StreamParts, event_stream

__all__ = ["Options", "StreamBody", "StreamParts", "event_stream"]
