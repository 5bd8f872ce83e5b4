"""A middleware that mends the streams of an application that stays as it is: `StreamGuard`."""

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
    """Mend every event stream and NDJSON response of ``app``; leave all else alone.

    A stream gets the headers that ask intermediaries not to hold it and loses ``Connection``. An
    event stream gets comments as heartbeats while it is silent, only between two events, in the
    form that no known client chokes on. An application that never suspends hands over control
    after 64 writes or 2 ms. When the client leaves and the application does not listen for that,
    it is cancelled; when the server stops, too.

    Compression holds a stream. Where the request accepts an event stream or NDJSON, or its path is
    one of ``paths``, ``app`` does not see its ``Accept-Encoding``, and so has no reason to
    compress; a stream that comes out compressed all the same gets no heartbeats, as none could
    be put in. A stream with a ``Content-Length`` keeps it and gets none either.

    Messages of other responses, and other kinds of scope, are handed on as the same objects.

    Args:
        heartbeat: seconds of silence; ``None`` sends none.
        ndjson_heartbeat: what to send as one between two lines of NDJSON, such as ``b"\\n"``,
            which must be whole lines; NDJSON has no comments, so none is sent unless told.
        paths: beginnings of paths whose responses may be streams though the request does not say
            so, such as ``/v1/chat/completions``.
        buffer_bytes: as in `EventStream`.
        send_timeout: as in `EventStream`.

    Raises:
        UsageError: an argument that cannot be used.
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
            raise UsageError("ndjson_heartbeat must end with a newline, or it joins the next line")
        if isinstance(paths, str):
            raise UsageError("paths is a collection of beginnings of paths, not one string")
        self._app = app
        self._paths = tuple(paths)
        self._settings = GuardSettings(heartbeat, ndjson_heartbeat, buffer_bytes, send_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request through ``app``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = GuardedResponse(self._settings, scope, receive, send)
        await guarded.run(self._app, self._without_compression(scope))

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
