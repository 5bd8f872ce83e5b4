"""`event_stream` as a response of Django under WSGI. Only this module imports django."""

from __future__ import annotations

from typing import Unpack

from django.http import StreamingHttpResponse  # type: ignore[import-untyped]

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> StreamingHttpResponse:
    """Return a response for a view under WSGI.

    Under ASGI, Django exhausts a plain iterator before it sends anything. There, use an async
    iterator and wrap the site in `undam.asgi.StreamGuard`. Django opens a database connection per
    thread, so ``source`` must close the connection that it uses.

    Raises:
        UsageError: as for `event_stream`.
    """
    parts = event_stream(source, **options)
    status, _, reason = parts.status.partition(" ")
    response = StreamingHttpResponse(parts.body, status=int(status), reason=reason)
    for name, value in parts.headers:
        response[name] = value
    return response
