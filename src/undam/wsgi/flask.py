"""`event_stream` as a response of Flask. Only this module imports flask."""

from __future__ import annotations

from typing import Unpack

from flask import Response

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> Response:
    """Return a response for a view.

    ``source`` runs in a copy of the view's context. It may use ``current_app`` and ``request``
    without ``stream_with_context``.

    Raises:
        UsageError: as for `event_stream`.
    """
    parts = event_stream(source, **options)
    return Response(parts.body, parts.status, parts.headers)
