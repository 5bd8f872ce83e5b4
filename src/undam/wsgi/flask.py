"""`event_stream` as a response of Flask. The one module that imports flask."""

from __future__ import annotations

from typing import Unpack

from flask import Response

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> Response:
    """Return it from a view. ``source`` may use ``current_app`` and ``request``: it runs in a copy
    of the view's context, so ``stream_with_context`` is not needed.

    Raises:
        UsageError: as `event_stream`.
    """
    parts = event_stream(source, **options)
    return Response(parts.body, parts.status, parts.headers)
