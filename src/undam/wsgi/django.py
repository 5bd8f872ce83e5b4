"""`event_stream` as a Django response under WSGI. No other module imports django."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Unpack

from django.db import connections  # type: ignore[import-untyped]
from django.http import StreamingHttpResponse  # type: ignore[import-untyped]

from undam.wsgi.stream import Options, Source, event_stream


class EventStreamHttpResponse(StreamingHttpResponse):  # type: ignore[misc]
    """Streaming response that Django's GZipMiddleware does not compress.

    The middleware does not change responses with a ``Content-Encoding``. In all others, it holds
    back the events, because it flushes its compressor only at the end. The header is not sent.
    """

    def has_header(self, header: str) -> bool:
        """Return whether the header is set; true for ``Content-Encoding``."""
        return header.lower() == "content-encoding" or bool(super().has_header(header))


def event_stream_response(source: Source, **options: Unpack[Options]) -> EventStreamHttpResponse:
    """Return the response for a view under WSGI. `GZipMiddleware` does not compress it.

    Under ASGI, Django exhausts a plain iterator before it sends anything. There, use an async
    iterator and wrap the site in `undam.asgi.StreamGuard`. Django opens a database connection per
    thread, so ``source`` has connections of its own. They are closed when it has ended.

    Raises:
        UsageError: as for `event_stream`.
    """
    options["thread_context"] = _closing_connections(options.get("thread_context"))
    parts = event_stream(source, **options)
    status, _, reason = parts.status.partition(" ")
    response = EventStreamHttpResponse(parts.body, status=int(status), reason=reason)
    for name, value in parts.headers:
        response[name] = value
    return response


@contextlib.contextmanager
def _closing_connections(inner: AbstractContextManager[object] | None) -> Iterator[None]:
    try:
        with inner or contextlib.nullcontext():
            yield
    finally:
        connections.close_all()
