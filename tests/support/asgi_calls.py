"""Helpers that call ASGI applications without a server, as a client that can disconnect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from support.eventually import eventually_async

App = Callable[[Any, Any, Any], Awaitable[None]]
Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` with a time limit, and fail on task exceptions that were never retrieved."""

    async def bounded() -> Result:
        errors: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        result = await asyncio.wait_for(main, 20)
        assert errors == []
        return result

    return asyncio.run(bounded())


class Call:
    """ASGI request; ``sent`` contains the messages that the application has sent so far."""

    def __init__(self, method: str = "GET", path: str = "/", **scope: Any) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [],
            **scope,
        }
        self.sent: list[dict[str, Any]] = []
        self.at: list[float] = []
        self.requests: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"", "more_body": False}
        ]
        self.disconnected = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.receiving = 0

    async def receive(self) -> dict[str, Any]:
        if self.requests:
            return self.requests.pop(0)
        self.receiving += 1
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.writable.wait()
        if self.disconnected.is_set():
            return
        self.sent.append(message)
        self.at.append(time.monotonic())

    def start(self, app: App) -> asyncio.Task[None]:
        """Start a task that serves the request, as a server does."""

        async def serve() -> None:
            await app(self.scope, self.receive, self.send)

        return asyncio.create_task(serve())

    async def serve(self, app: App) -> Call:
        """Serve the request until the application returns."""
        await self.start(app)
        return self

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` is true."""
        await eventually_async(condition, on_loop=True)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        pairs = [(name.decode(), value.decode()) for name, value in self.sent[0]["headers"]]
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    @property
    def bodies(self) -> list[bytes]:
        return [m["body"] for m in self.sent if m["type"] == "http.response.body"]

    @property
    def body(self) -> bytes:
        return b"".join(self.bodies)

    @property
    def complete(self) -> bool:
        """True if the application has sent the end of the body."""
        return self.sent[-1].get("more_body") is False
