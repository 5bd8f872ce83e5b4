"""`StreamGuard`: middleware that protects the streams of an unchanged application."""

from __future__ import annotations

from collections.abc import Collection

from undam.asgi.guard.guarded_response import (
    EVENT_STREAM_TYPE,
    NDJSON_TYPES,
    GuardedResponse,
    GuardSettings,
)
from undam.asgi.interface import App, Receive, Scope, Send
from undam.asgi.response.limits import check_limits
from undam.errors import UsageError


class StreamGuard:
    """ASGI middleware that protects every event stream and NDJSON response of ``app``.

    Headers that disable buffering in intermediaries are added to a stream, and ``Connection`` is
    removed. While an event stream is silent, comments are sent as heartbeats. They are sent only
    between two events and in a form that every known client accepts. An application that never
    suspends yields to the loop after 64 writes or 2 ms. The application is cancelled when the
    server stops. It is also cancelled when the client disconnects, unless it listens for that.

    Compression buffers a stream. If the request accepts an event stream or NDJSON, or its path
    starts with one of ``paths``, ``Accept-Encoding`` is removed from the request. If a stream is
    compressed nevertheless, or has a ``Content-Length``, heartbeats cannot be inserted and are not
    sent.

    For other responses and scopes, the message objects themselves are passed through.

    Args:
        heartbeat: seconds of silence before a heartbeat; ``None`` disables heartbeats.
        ndjson_heartbeat: whole lines to send as a heartbeat between two lines of NDJSON, such as
            ``b"\\n"``. NDJSON has no comments, so by default nothing is sent.
        paths: prefixes of URL paths whose responses may be streams even if the request headers do
            not indicate it, such as ``/v1/chat/completions``.
        buffer_bytes: as for `EventStream`.
        send_timeout: as for `EventStream`.

    Raises:
        UsageError: an argument is invalid.
    """

    def __init__(
        self,
        app: App,
        *,
        heartbeat: float | None = 15.0,
        ndjson_heartbeat: bytes | None = None,
        paths: Collection[str] = (),
        buffer_bytes: int = 65536,
        send_timeout: float | None = None,
    ) -> None:
        check_limits(heartbeat, send_timeout, buffer_bytes)
        if ndjson_heartbeat is not None and not ndjson_heartbeat.endswith(b"\n"):
            raise UsageError(
                "ndjson_heartbeat must end with a newline, to keep it separate from the next line"
            )
        if isinstance(paths, str):
            raise UsageError("paths must be a collection of path prefixes, not one string")
        self._app = app
        self._paths = tuple(paths)
        self._settings = GuardSettings(heartbeat, ndjson_heartbeat, buffer_bytes, send_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with ``app``, and protect its response if it is a stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._without_compression(scope)
        guarded = GuardedResponse(self._settings, scope, receive, send)
        await guarded.run(self._app, scope)

    def _without_compression(self, scope: Scope) -> Scope:
        if not (scope["path"].startswith(self._paths) or _accepts_stream(scope)):
            return scope
        headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        return {**scope, "headers": headers}


def _accepts_stream(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept":
            kinds = {kind.split(b";")[0].strip().lower() for kind in value.split(b",")}
            if EVENT_STREAM_TYPE in kinds or not NDJSON_TYPES.isdisjoint(kinds):
                return True
    return False
