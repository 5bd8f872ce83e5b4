"""`EventStream` as a response of Starlette and FastAPI. Only this module imports starlette."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from undam.asgi.replay.interface import Replay
from undam.asgi.response.event_stream import EventStream
from undam.asgi.response.headers import EVENT_STREAM, stream_headers
from undam.asgi.response.openai_answer import OpenAIAnswer
from undam.asgi.response.source import Source
from undam.asgi.response.streamed_response import OnClose


class EventStreamResponse(Response):
    """Starlette response with the guarantees of `EventStream`, to be returned from an endpoint.

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

    def __init__(  # noqa: PLR0913 (five of Starlette, the others by keyword)
        self,
        content: Source,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        *,
        heartbeat: float | None = 15.0,
        openai: bool | OpenAIAnswer = False,
        buffer_bytes: int = 65536,
        send_timeout: float | None = None,
        on_close: OnClose | None = None,
        expose_errors: bool = False,
        replay: Replay | None = None,
        replay_key: str | None = None,
    ) -> None:
        self._source = content
        self._options: dict[str, Any] = {
            "heartbeat": heartbeat,
            "openai": openai,
            "buffer_bytes": buffer_bytes,
            "send_timeout": send_timeout,
            "on_close": on_close,
            "expose_errors": expose_errors,
            "replay": replay,
            "replay_key": replay_key,
        }
        EventStream(content, **self._options)  # raises UsageError where the response is created
        self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.body = b""
        self.init_headers(headers)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the default headers of a stream, updated with ``headers``."""
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
        stream = EventStream(
            self._source,
            status=self.status_code,
            headers=[*self.raw_headers, *removed],
            **self._options,
        )
        await stream(scope, receive, send)
        if self.background is not None:
            await self.background()
