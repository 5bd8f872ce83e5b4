"""`EventStream` as a response of Starlette and FastAPI. The one module that imports starlette."""

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
    """Return it from an endpoint: what `EventStream` promises, as a Starlette response.

    As FastAPI's ``response_class`` it turns the endpoint's generator into a stream and shows as
    ``text/event-stream`` in the OpenAPI document; for a return annotation to do that, too, see
    `undam.asgi.fastapi.EventStreamRoute`. Cookies and headers may be set on it until it is sent.

    ``background`` runs when the stream is over, also when the client left; not when ``content``
    failed or the server cancelled the request, as with Starlette's own responses.

    Args:
        content: the source, as for `EventStream`.
        media_type: replaces the content type, unless ``headers`` does.

    The other arguments, and what is raised, are those of `EventStream`.
    """

    media_type = "text/event-stream"

    def __init__(  # noqa: PLR0913 (starlette's five, and each of the others is named)
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
        EventStream(content, **self._options)  # a mistake is raised where it was made
        self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.body = b""
        self.init_headers(headers)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """The stream's headers, with the caller's over them."""
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
