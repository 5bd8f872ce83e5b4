"""Async iterator that runs a plain (blocking) iterator in a thread of its own.

A blocking source waits most of the time. A pool of n threads would serve n streams and starve all
others, so each iterator has its own thread, created at the first step. At most `_AHEAD` items are
queued between the thread and the loop; then the thread blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

# Length of the queue. It avoids two thread switches per item for a fast source, and takes little
# memory.
_AHEAD = 16


class _End:
    """Queue entry that marks the end of the iterator."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ThreadedIterator:
    """Async iterator over a plain iterable. Slow steps of the iterable do not block the event loop.

    ``aclose`` does not wait, because a blocking step cannot be interrupted. The iterator is closed
    in its own thread as soon as the current step returns. No item is returned after ``aclose``.
    """

    __slots__ = ("_closed", "_items", "_loop", "_queue", "_space", "_thread", "_waiter")

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self._queue: deque[Any] = deque()
        self._space = threading.Semaphore(_AHEAD)
        self._closed = False
        self._thread: threading.Thread | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __aiter__(self) -> ThreadedIterator:
        return self

    async def __anext__(self) -> Any:
        if self._closed:
            raise StopAsyncIteration
        if self._thread is None:
            self._start()
        while not self._queue:
            assert self._loop is not None
            self._waiter = self._loop.create_future()
            # The thread appends an item before it looks for a waiter. An item appended before this
            # line is found below, and a later item wakes the waiter.
            if self._queue:
                break
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._queue.popleft()
        self._space.release()
        if isinstance(item, _End):
            self._closed = True
            if item.error is not None:
                raise item.error
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Request that the iterator be closed. The class docstring says when that takes effect."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None and hasattr(self._items, "__next__"):
            _close(self._items)
        self._space.release()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        # A daemon thread does not keep the process alive if the source blocks forever.
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="undam source", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        end: BaseException | None = None
        iterator: Iterator[Any] | None = None
        try:
            iterator = iter(self._items)
            for item in iterator:
                self._space.acquire()
                if self._closed:
                    break
                self._put(item)
        except BaseException as error:  # raised again in the event loop
            end = _safe_in_coroutine(error)
        finally:
            close_iterator(iterator, self._items)
            self._put(_End(end))

    def _put(self, item: object) -> None:
        self._queue.append(item)
        if self._waiter is not None and self._loop is not None:
            # RuntimeError means that the event loop is closed, so there is no reader.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def close_iterator(iterator: object, items: object) -> None:
    """Close an iterator over ``items``. Exceptions are suppressed, because the stream has ended.

    A blocking stream of openai or anthropic closes its response only if it is closed itself.
    """
    with contextlib.suppress(Exception):
        _close(iterator)
    if iterator is not items and hasattr(items, "response"):
        with contextlib.suppress(Exception):
            _close(items)


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if callable(close):
        close()


def _safe_in_coroutine(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration | StopAsyncIteration):
        # A StopIteration or StopAsyncIteration raised in a coroutine would end a different
        # iteration.
        replacement = RuntimeError("the source raised StopIteration")
        replacement.__cause__ = error
        return replacement
    return error
