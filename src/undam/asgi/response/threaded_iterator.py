"""A plain iterator, run in a thread of its own and read as an async one.

A blocking source waits most of its time, so a pool of n threads would serve n streams and starve
the rest: each iterator has its own thread, made at the first step. At most `_AHEAD` items wait
between thread and loop; then the thread pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

# Enough that a fast source does not pay two thread switches per item, and little to have in memory.
_AHEAD = 16


class _End:
    """Stands in the queue for the end of the iterator."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ThreadedIterator:
    """``async for`` over a plain iterable without blocking the loop.

    ``aclose`` does not wait: nothing can interrupt a step that blocks. The iterator is closed, in
    its thread, as soon as that step returns, and gives nothing from then on.
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
            # The thread appends before it looks for a waiter, so an item that came in between
            # is seen here, and one that comes later sees the waiter.
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
        """Have the iterator closed; see the class for when that happens."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None and hasattr(self._items, "__next__"):
            _close(self._items)
        self._space.release()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        # A daemon: a source that blocks for ever must not keep the process from ending.
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
                self._give(item)
        except BaseException as error:  # it is raised again, in the loop
            end = _in_a_coroutine(error)
        finally:
            with contextlib.suppress(Exception):
                _close(iterator)
            self._give(_End(end))

    def _give(self, item: object) -> None:
        self._queue.append(item)
        if self._waiter is not None and self._loop is not None:
            # RuntimeError: the loop is closed, and nobody reads any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if callable(close):
        close()


def _in_a_coroutine(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration | StopAsyncIteration):
        # Either would be taken for the end of something else where it is raised again.
        replacement = RuntimeError("the source raised StopIteration")
        replacement.__cause__ = error
        return replacement
    return error
