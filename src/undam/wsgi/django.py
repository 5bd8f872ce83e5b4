"""`event_stream` as a response of Django under WSGI. The one module that imports django."""

from __future__ import annotations

from typing import Unpack

from django.http import StreamingHttpResponse  # type: ignore[import-untyped]

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> StreamingHttpResponse:
    """Return it from a view of a site that runs under WSGI.

    Under ASGI Django collects a plain iterator before it sends anything: there, stream an async
    one and put `undam.asgi.StreamGuard` around the site. Django's database connections belong to
    a thread, and nothing closes that of ``source`` but ``source`` itself.

    Raises:
        UsageError: as `event_stream`.
    """
    parts = event_stream(source, **options)
    status, _, reason = parts.status.partition(" ")
    response = StreamingHttpResponse(parts.body, status=int(status), reason=reason)
    for name, value in parts.headers:
        response[name] = value
    return response
