"""`EventStream` as a Starlette and FastAPI response. Only this module imports starlette."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack, overload

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from undam.asgi.answers.answer import Answer
from undam.asgi.passthrough.relay import Relay
from undam.asgi.replay.resume import TaskScope
from undam.asgi.response.event_stream import EventStream, ResponseOptions
from undam.asgi.response.headers import EVENT_STREAM, GivenHeaders, stream_headers
from undam.asgi.response.items import AnyItems, AnySource, Encode, Source


class EventStreamResponse(Response):
    """Starlette response with the guarantees of `EventStream`. Endpoints return it.

    As FastAPI's ``response_class``, it turns the endpoint's generator into a stream and appears as
    ``text/event-stream`` in the OpenAPI document. To use a return annotation instead, see
    `undam.asgi.fastapi.EventStreamRoute`. Cookies and headers may be set until it is sent.

    ``background`` runs after the stream has ended, even if the client disconnected. As with
    Starlette's own responses, it does not run if ``content`` failed or the request was cancelled.

    Args:
        content: the source, as for `EventStream`.
        media_type: content type, unless ``headers`` sets one.

    The other arguments and the exceptions are the same as for `EventStream`.
    """

    media_type = "text/event-stream"

    @overload
    def __init__(
        self,
        content: Source | Answer,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        *,
        encode: None = None,
        **options: Unpack[ResponseOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        content: Callable[[Any], AnyItems],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        *,
        task_scope: TaskScope,
        encode: Encode | None = None,
        **options: Unpack[ResponseOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        content: AnySource,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        *,
        encode: Encode,
        **options: Unpack[ResponseOptions],
    ) -> None: ...
    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        **options: Any,
    ) -> None:
        self._source = content
        self._options = options
        stream = self._stream((), 200)  # an invalid argument raises UsageError here
        self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.body = b""
        self.init_headers(headers)
        own = {name for name, _ in self.raw_headers}
        self.raw_headers += [one for one in stream.own_headers if one[0] not in own]

    def _stream(self, headers: GivenHeaders, status: int) -> EventStream:
        return EventStream(self._source, headers=headers, status=status, **self._options)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the default stream headers, overridden by ``headers``."""
        own = {}
        kind = self.media_type
        if kind != EventStreamResponse.media_type:
            needs_charset = kind.startswith("text/") and "charset=" not in kind.lower()
            own["content-type"] = f"{kind}; charset={self.charset}" if needs_charset else kind
        given = {name.lower(): value for name, value in (headers or {}).items()}
        self.raw_headers = stream_headers(own | given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, then run ``background``."""
        present = {name for name, _ in self.raw_headers}
        removed = [(name, None) for name, _ in EVENT_STREAM if name not in present]
        stream = self._stream([*self.raw_headers, *removed], self.status_code)
        await stream(scope, receive, send)
        if self.background is not None:
            await self.background()


class RelayResponse(EventStreamResponse):
    """Starlette response that relays another stream; see `relay`."""

    def __init__(
        self,
        upstream: Any,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        **options: Unpack[ResponseOptions],
    ) -> None:
        given: Any = options
        super().__init__(upstream, 200, headers, None, background, **given)

    def _stream(self, headers: GivenHeaders, status: int) -> EventStream:
        return Relay(self._source, headers=headers, status=status, **self._options)


def relay(upstream: Any, **options: Unpack[ResponseOptions]) -> RelayResponse:
    """Return a response that relays the events of ``upstream``; see `undam.asgi.relay`."""
    return RelayResponse(upstream, **options)
