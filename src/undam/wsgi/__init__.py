"""Event streams for Flask and Django under WSGI, within the limits of WSGI."""

from undam.wsgi.stream import Options, StreamBody, StreamParts, event_stream

__all__ = ["Options", "StreamBody", "StreamParts", "event_stream"]
