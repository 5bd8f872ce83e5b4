"""Plain iterators that run in a thread while the event loop reads their items."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from support.asgi_calls import run
from support.eventually import eventually_async
from undam.asgi.response.threaded_iterator import ThreadedIterator


async def _all(iterator: ThreadedIterator) -> list[object]:
    return [item async for item in iterator]


def test_all_items_arrive_in_order() -> None:
    assert run(_all(ThreadedIterator(iter(range(1000))))) == list(range(1000))


def test_the_thread_runs_ahead_by_a_few_items_only() -> None:
    async def main() -> None:
        made: list[int] = []

        def source() -> Iterator[int]:
            for i in range(1000):
                made.append(i)
                yield i

        iterator = ThreadedIterator(source())
        assert await anext(iterator) == 0
        await asyncio.sleep(0.1)
        assert len(made) < 40
        await iterator.aclose()

    run(main())


def test_a_blocking_step_does_not_block_the_loop() -> None:
    async def main() -> None:
        release = threading.Event()

        def source() -> Iterator[int]:
            release.wait(10)
            yield 1

        step = asyncio.ensure_future(anext(ThreadedIterator(source())))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not step.done()
        release.set()
        assert await step == 1

    run(main())


def test_many_blocking_iterators_run_concurrently() -> None:
    async def main() -> None:
        meeting = threading.Barrier(50, timeout=10)

        def source() -> Iterator[int]:
            yield meeting.wait()

        results = await asyncio.gather(*(_all(ThreadedIterator(source())) for _ in range(50)))
        assert sorted(result[0] for result in results) == list(range(50))  # type: ignore[type-var]

    run(main())


def test_an_error_of_the_iterator_is_raised_on_the_loop() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("k")

    async def main() -> None:
        iterator = ThreadedIterator(source())
        assert await anext(iterator) == 1
        with pytest.raises(KeyError):
            await anext(iterator)
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)

    run(main())


def test_a_stop_iteration_raised_inside_is_an_error() -> None:
    class Source:
        def __iter__(self) -> Iterator[int]:
            raise StopIteration

    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await anext(ThreadedIterator(Source()))

    run(main())


def test_closing_before_the_first_step_starts_no_thread() -> None:
    finals: list[bool] = []

    def source() -> Iterator[int]:
        try:
            yield 1
        finally:
            finals.append(True)

    async def main() -> None:
        plain = source()
        before = threading.active_count()
        iterator = ThreadedIterator(plain)
        await iterator.aclose()
        await iterator.aclose()
        assert threading.active_count() == before
        with pytest.raises(StopIteration):
            next(plain)

    run(main())
    assert finals == []


def test_closing_closes_the_generator_once_in_its_thread() -> None:
    finals: list[threading.Thread] = []
    threads: list[threading.Thread] = []

    def source() -> Iterator[int]:
        threads.append(threading.current_thread())
        try:
            while True:
                yield 1
        finally:
            finals.append(threading.current_thread())

    async def main() -> None:
        iterator = ThreadedIterator(source())
        await anext(iterator)
        await iterator.aclose()
        await eventually_async(lambda: finals, on_loop=True)

    run(main())
    assert finals == threads


def test_context_variables_are_visible_in_the_thread() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def source() -> Iterator[str]:
        yield variable.get()

    async def main() -> None:
        variable.set("here")
        assert await _all(ThreadedIterator(source())) == ["here"]

    run(main())


def test_a_thread_that_outlives_its_loop_ends_quietly() -> None:
    release, ended = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        try:
            release.wait(10)
            yield 1
        finally:
            ended.set()

    async def main() -> None:
        step = asyncio.ensure_future(anext(ThreadedIterator(source())))
        await asyncio.sleep(0.01)
        step.cancel()

    run(main())
    release.set()
    assert ended.wait(10)
