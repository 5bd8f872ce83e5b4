"""`event_stream` as a Django response under WSGI. No other module imports django."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Unpack

from django.db import connections  # type: ignore[import-untyped]
from django.http import StreamingHttpResponse  # type: ignore[import-untyped]

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> StreamingHttpResponse:
    """Return the response for a view under WSGI.

    Under ASGI, Django exhausts a plain iterator before it sends anything. There, use an async
    iterator and wrap the site in `undam.asgi.StreamGuard`. Django opens a database connection per
    thread, so ``source`` has connections of its own. They are closed when it has ended.

    Raises:
        UsageError: as for `event_stream`.
    """
    options["thread_context"] = _closing_connections(options.get("thread_context"))
    parts = event_stream(source, **options)
    status, _, reason = parts.status.partition(" ")
    response = StreamingHttpResponse(parts.body, status=int(status), reason=reason)
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
