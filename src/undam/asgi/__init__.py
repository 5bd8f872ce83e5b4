"""Serve a stream that cannot be held back: plain ASGI, no dependency."""
