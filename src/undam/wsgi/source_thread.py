"""A plain iterator that runs in its own thread, separate from the one that serves the request.

At most `_AHEAD` items are queued between the two threads; then the source's thread blocks.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from undam.asgi.response.source import check_source
from undam.asgi.response.threaded_iterator import close_iterator
from undam.errors import UsageError

# As under ASGI, the queue is long enough to avoid two thread switches per item for a fast source,
# yet takes little memory.
_AHEAD = 16


class End:
    """Queue entry after the last item, with the exception raised by the source, if any."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class SourceThread:
    """Thread that runs ``source`` in the context in which this object was created.

    `close` does not wait, because a blocking step cannot be interrupted. The iterator is closed in
    its thread as soon as the current step returns.

    Args:
        thread_context: context manager that the thread enters around the source, for instance to
            close the database connections of the thread. It is not entered if the thread never
            starts.
    """

    __slots__ = ("_closed", "_context", "_queue", "_source", "_thread", "_thread_context")

    def __init__(
        self, source: Any, thread_context: AbstractContextManager[object] | None = None
    ) -> None:
        self._source = source
        self._thread_context = thread_context or contextlib.nullcontext()
        # The context is copied, so that the thread has the same request-local values as the view.
        self._context = contextvars.copy_context()
        self._queue: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """True after `start` was called."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread. This method must be called only once."""
        # The thread is a daemon, so that a source that blocks forever does not prevent the process
        # from exiting.
        self._thread = threading.Thread(
            target=self._context.run, args=(self._run,), name="undam source", daemon=True
        )
        self._thread.start()

    def get(self, timeout: float | None) -> Any:
        """Return the next item, or `End` after the last one.

        Raises:
            queue.Empty: no item arrived within ``timeout`` seconds.
        """
        return self._queue.get(timeout=timeout)

    def close(self) -> None:
        """Request that the iterator be closed; see the class docstring for when this happens."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            _close(self._source)
        # Empty the queue, so that the thread, if it is blocked, continues and detects the close.
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with self._thread_context:
                self._iterate()
        except BaseException as caught:
            error = caught
        finally:
            self._queue.put(End(error))

    def _iterate(self) -> None:
        iterator: Iterator[Any] | None = None
        items: Iterable[Any] | None = None
        try:
            items = _opened(self._source)
            iterator = iter(items)
            for item in iterator:
                self._queue.put(item)
                if self._closed:
                    break
        finally:
            close_iterator(iterator, items)


def check_plain(source: object) -> None:
    """Reject an unusable source as soon as the stream is created, and not only when it is served.

    Raises:
        UsageError: ``source`` cannot be iterated in a thread.
    """
    check_source(source)
    if isinstance(source, AsyncIterable):
        raise UsageError("source is async, but WSGI has no event loop; serve it with undam.asgi")


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
