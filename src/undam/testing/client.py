"""In-process client for one ASGI request, for tests of event streams."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from undam.asgi.interface import App, Message, Reason, outcome_in
from undam.sse import Comment, Event, Parser
from undam.testing.virtual_time import VirtualTimeLoop, virtual_clock

# Virtual time within which the application must send the next event. It exceeds all heartbeat
# intervals and idle timeouts in use, so that only a stuck stream fails a test.
TIMEOUT_S = 3600.0
_LEAVE_S = 10.0

Result = TypeVar("Result")


class ClientLeft(OSError):
    """Raised by ``send`` after the client has disconnected, as the ASGI specification requires."""


class StreamClient:
    """Reader for one response from an ASGI application; created by `open_stream`.

    Attributes:
        status: status code.
        headers: response headers, with names in lower case.
        comments: comments so far, such as heartbeats.
        error: exception that the application raised, if any.
    """

    def __init__(self, app: App, scope: dict[str, Any], body: bytes, loop: VirtualTimeLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.comments: list[str] = []
        self.error: BaseException | None = None
        self._app = app
        self._scope = scope
        self._outcome = outcome_in(scope)
        self._requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._loop = loop
        self._parser = Parser(max_event_bytes=1 << 26)
        self._events: list[Event] = []
        self._body = bytearray()
        self._ended_cleanly = False
        self._left = asyncio.Event()
        self._changed = asyncio.Event()
        self._began_s = loop.time()
        self._task = loop.create_task(self._serve(), name="undam test request")
        self._run(lambda: self.status != 0, TIMEOUT_S)

    @property
    def reason(self) -> Reason | None:
        """Reason why the stream ended; ``None`` if it is still open or was not served by undam."""
        return self._outcome.reason

    @property
    def complete(self) -> bool:
        """True if the response ended cleanly."""
        return self._ended_cleanly

    @property
    def body(self) -> bytes:
        """All body bytes that have been received so far."""
        return bytes(self._body)

    @property
    def elapsed_s(self) -> float:
        """Virtual time since the request, in seconds."""
        return self._loop.time() - self._began_s

    def take(self, count: int, *, timeout_s: float = TIMEOUT_S) -> list[Event]:
        """Return the next ``count`` events.

        Raises:
            AssertionError: the stream ended first, or sent nothing for ``timeout_s`` virtual
                seconds. The message has the events so far and the error of the application.
        """
        self._run(lambda: len(self._events) >= count, timeout_s)
        if len(self._events) < count:
            how = f"ended ({self.reason})" if self._task.done() else f"was silent for {timeout_s} s"
            found = [event.data for event in self._events]
            message = f"the stream {how} after {len(found)} of {count} events: {found}"
            raise AssertionError(message) from self.error
        taken, self._events = self._events[:count], self._events[count:]
        return taken

    def read(self, *, timeout_s: float = TIMEOUT_S) -> list[Event]:
        """Return all events until the stream ends; see `complete` and `error` for how it ended.

        Raises:
            AssertionError: the stream did not end within ``timeout_s`` virtual seconds.
        """
        self._run(self._task.done, timeout_s)
        if not self._task.done():
            raise AssertionError(f"the stream did not end within {timeout_s} virtual seconds")
        taken, self._events = self._events, []
        return taken

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass, for instance to collect heartbeats."""
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine, such as one that stops a stream, while the streams continue.

        Returns:
            The result of the coroutine.
        """
        return self._loop.run_until_complete(work)

    def leave(self) -> None:
        """Disconnect the client, and wait until the application has ended the request.

        Raises:
            AssertionError: the application continues although its client has left.
        """
        self._left.set()
        self._run(self._task.done, _LEAVE_S)
        if not self._task.done():
            raise AssertionError(
                f"the application still serves the request {_LEAVE_S:g} virtual seconds after the "
                "client has disconnected"
            )

    def close(self) -> None:
        """End the request, whatever its state."""
        self._left.set()
        with contextlib.suppress(AssertionError):
            self._run(self._task.done, _LEAVE_S)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    def _run(self, condition: Callable[[], object], timeout_s: float) -> None:
        self._loop.run_until_complete(self._until(condition, timeout_s))

    async def _until(self, condition: Callable[[], object], timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition() and not self._task.done():
                    self._changed.clear()
                    await self._changed.wait()

    async def _serve(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:
            # Starlette converts a write error to another exception.
            if not (self._left.is_set() and _is_caused_by_leaving(error)):
                self.error = error
        finally:
            self._changed.set()

    async def _receive(self) -> Message:
        if self._requests:
            return self._requests.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            raise ClientLeft("the client has disconnected")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in message.get("headers", ())
            }
        elif message["type"] == "http.response.body":
            data = bytes(message.get("body", b""))
            self._body += data
            for item in self._parser.receive_data(data):
                if isinstance(item, Comment):
                    self.comments.append(item.text)
                else:
                    self._events.append(item)
            self._ended_cleanly = not message.get("more_body", False)
        self._changed.set()


@contextmanager
def open_stream(  # noqa: PLR0913 (parts of a request, by keyword)
    app: App,
    url: str,
    *,
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None,
    json: Any = None,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    last_event_id: str | None = None,
    http_version: str = "1.1",
) -> Iterator[StreamClient]:
    """Send a request to ``app`` in this process, and read its stream in virtual time.

    It works for every ASGI application, and inside tests that have no event loop of their own. The
    lifespan of the application is not run.

    Args:
        url: path, with a query string if there is one.
        method: default GET, or POST with a body.
        json: body as JSON.
        last_event_id: value of the header, as a client that reconnects sends it.

    Raises:
        RuntimeError: an event loop is running in this thread; call it in a plain function.
    """
    if json is not None:
        body = json_module.dumps(json).encode()
    parts = urlsplit(url)
    pairs = {
        "host": "testserver",
        **{name.lower(): value for name, value in (headers or {}).items()},
    }
    if json is not None:
        pairs.setdefault("content-type", "application/json")
    if last_event_id is not None:
        pairs["last-event-id"] = last_event_id
    if body:
        pairs["content-length"] = str(len(body))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": http_version,
        "method": method or ("POST" if body else "GET"),
        "scheme": "http",
        "path": parts.path or "/",
        "raw_path": (parts.path or "/").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode()) for name, value in pairs.items()],
        "server": ("testserver", 80),
        "client": ("testclient", 50000),
        "state": {},
    }
    with _loop() as loop, contextlib.closing(StreamClient(app, scope, body, loop)) as client:
        yield client


def _is_caused_by_leaving(error: BaseException) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ClientLeft):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


_open_loops: list[VirtualTimeLoop] = []


@contextmanager
def _loop() -> Iterator[VirtualTimeLoop]:
    """Return the loop of the outermost open stream, so that nested streams share one clock."""
    if _open_loops:
        yield _open_loops[-1]
        return
    with contextlib.closing(VirtualTimeLoop()) as loop, virtual_clock(loop):
        _open_loops.append(loop)
        try:
            yield loop
        finally:
            _open_loops.remove(loop)
            _end_tasks(loop)


def _end_tasks(loop: VirtualTimeLoop) -> None:
    """Cancel tasks that the application left running, such as those of a replay store."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
