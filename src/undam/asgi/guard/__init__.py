"""`StreamGuard`: ASGI middleware for applications that already stream."""
