"""FastAPI route class that documents ``-> EventStreamResponse`` in the OpenAPI schema.

FastAPI takes the media type of an operation only from ``response_class``. An endpoint whose return
annotation is a response class is documented as JSON. Only this module imports fastapi.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from fastapi.routing import APIRoute

from undam.asgi.starlette import EventStreamResponse


class EventStreamRoute(APIRoute):
    """Route that uses an `EventStreamResponse` return annotation as its ``response_class``.

    For a whole application, set ``app.router.route_class = EventStreamRoute`` before its endpoints
    are declared; for one router, use ``APIRouter(route_class=EventStreamRoute)``. An explicit
    ``response_class`` takes precedence. Other endpoints are not affected.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        returned = _returned(endpoint)
        # If no response class is given, FastAPI passes a placeholder object, which is not a class.
        if returned is not None and not isinstance(options.get("response_class"), type):
            options["response_class"] = returned
        super().__init__(path, endpoint, **options)


def _returned(endpoint: Callable[..., Any]) -> type[EventStreamResponse] | None:
    try:
        returned = get_type_hints(endpoint).get("return")
    except (NameError, TypeError):  # not a function, or an annotation is undefined at run time
        return None
    is_stream = isinstance(returned, type) and issubclass(returned, EventStreamResponse)
    return returned if is_stream else None
