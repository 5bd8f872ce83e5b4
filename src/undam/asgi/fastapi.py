"""A route class with which ``-> EventStreamResponse`` documents itself in FastAPI's OpenAPI.

FastAPI reads the media type of an operation from ``response_class`` alone, and takes an endpoint
that is annotated with a response for one that returns JSON. The one module that imports fastapi.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from fastapi.routing import APIRoute

from undam.asgi.starlette import EventStreamResponse


class EventStreamRoute(APIRoute):
    """Takes ``response_class`` from the return annotation where that is an `EventStreamResponse`.

    For a whole application ``app.router.route_class = EventStreamRoute``, before its endpoints are
    declared; for a router ``APIRouter(route_class=EventStreamRoute)``. A ``response_class`` that is
    given wins, and other endpoints are as they were.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        returned = _returned(endpoint)
        # Not a class: FastAPI's mark for "none was given".
        if returned is not None and not isinstance(options.get("response_class"), type):
            options["response_class"] = returned
        super().__init__(path, endpoint, **options)


def _returned(endpoint: Callable[..., Any]) -> type[EventStreamResponse] | None:
    try:
        returned = get_type_hints(endpoint).get("return")
    except (NameError, TypeError):  # a name that is not there at run time, or no function
        return None
    is_stream = isinstance(returned, type) and issubclass(returned, EventStreamResponse)
    return returned if is_stream else None
