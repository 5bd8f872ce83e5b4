"""A plain iterator in a thread of its own, read by the thread that serves the request.

At most `_AHEAD` items wait between the two; then the source's thread pauses.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from undam.asgi.response.source import check_source
from undam.errors import UsageError

# As under ASGI: a fast source does not pay two thread switches per item, and little is in memory.
_AHEAD = 16


class End:
    """Comes behind the last item, with what the source raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class SourceThread:
    """Runs ``source`` from `start` on, in the context in which this was made.

    `close` does not wait: nothing can interrupt a step that blocks. The iterator is closed, in its
    thread, as soon as that step returns.
    """

    __slots__ = ("_closed", "_context", "_queue", "_source", "_thread")

    def __init__(self, source: Any) -> None:
        self._source = source
        # Of what a framework keeps for a request, its thread knows as much as the view did.
        self._context = contextvars.copy_context()
        self._queue: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """`start` was called."""
        return self._thread is not None

    def start(self) -> None:
        """Begin; once."""
        # A daemon: a source that blocks for ever must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._context.run, args=(self._run,), name="undam source", daemon=True
        )
        self._thread.start()

    def get(self, timeout: float | None) -> Any:
        """The next item, or `End`.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
        """
        return self._queue.get(timeout=timeout)

    def close(self) -> None:
        """Have the iterator closed; see the class for when that happens."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            _close(self._source)
        # Makes room, so that a thread that waits for some comes to see that it is closed.
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def _run(self) -> None:
        iterator: Iterator[Any] | None = None
        error: BaseException | None = None
        try:
            iterator = iter(_opened(self._source))
            for item in iterator:
                self._queue.put(item)
                if self._closed:
                    break
        except BaseException as caught:
            error = caught
        finally:
            with contextlib.suppress(Exception):
                _close(iterator)
            self._queue.put(End(error))


def check_plain(source: object) -> None:
    """Refuse, when the stream is made, what could only fail when it is served.

    Raises:
        UsageError: it cannot be iterated in a thread.
    """
    check_source(source)
    if isinstance(source, AsyncIterable):
        raise UsageError("source is async, and WSGI has no loop; serve it with undam.asgi")


def _opened(source: Any) -> Iterable[Any]:
    if isinstance(source, Iterable):
        return source
    made = source()
    check_plain(made)
    assert isinstance(made, Iterable)
    return made


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if callable(close) and hasattr(items, "__next__"):
        close()
