"""`event_stream` as a Flask response. No other module imports flask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Unpack

from flask import Response, has_app_context, has_request_context

from undam.wsgi.stream import Options, Source, event_stream


def event_stream_response(source: Source, **options: Unpack[Options]) -> Response:
    """Return the response for a view.

    ``source`` runs in the application and request context of the view, which it enters in its own
    thread. It may use ``current_app``, ``request``, ``session``, ``g`` and Flask-SQLAlchemy's
    ``db.session``. The functions registered with ``teardown_appcontext`` and ``teardown_request``
    run in that thread as soon as ``source`` has ended, whatever ended it. So a database session
    that ``source`` opens is returned to its pool. As with ``stream_with_context``, Flask also runs
    them when the view returns: pass IDs rather than loaded objects to ``source``.

    Raises:
        UsageError: as for `event_stream`.
    """
    options["thread_context"] = _entering(_contexts(), options.get("thread_context"))
    parts = event_stream(source, **options)
    return Response(parts.body, parts.status, parts.headers)


@contextlib.contextmanager
def _entering(
    contexts: list[AbstractContextManager[Any]], inner: AbstractContextManager[object] | None
) -> Iterator[None]:
    with ExitStack() as entered:
        for context in contexts:
            entered.enter_context(context)
        with inner or contextlib.nullcontext():
            yield


def _contexts() -> list[AbstractContextManager[Any]]:
    """Return the active Flask contexts, the application context first."""
    if not has_app_context():
        return []
    from flask.globals import app_ctx  # noqa: PLC0415 (only where there is one)

    contexts: list[Any] = [app_ctx._get_current_object()]  # type: ignore[attr-defined]
    # Since Flask 3.2, the application context includes the request.
    if has_request_context() and not hasattr(contexts[0], "has_request"):
        from flask.globals import request_ctx  # noqa: PLC0415

        contexts.append(request_ctx._get_current_object())  # type: ignore[attr-defined]
    return contexts
