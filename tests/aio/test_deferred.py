"""The queue of deferred jobs: run times, run order, and execution of every job."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

from undam.aio.deferred import DeferredQueue


def test_pending_io_is_served_before_each_job() -> None:
    order: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = DeferredQueue(loop)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)

            def read() -> None:
                order.append(ours.recv(1).decode())

            def job_named(name: str) -> Callable[[], None]:
                def job() -> None:
                    order.append(name)
                    theirs.send(b"r")

                return job

            loop.add_reader(ours, read)
            # Both jobs are queued before either job runs; each job makes the socket readable again.
            theirs.send(b"r")
            queue.put(job_named("one"))
            queue.put(job_named("two"))
            await asyncio.sleep(0.05)
            loop.remove_reader(ours)

    # uvloop is used because the standard asyncio loop may run two jobs between polls.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert order == ["r", "one", "r", "two", "r"]


def test_a_job_waits_for_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.aio.deferred._DELAY_S", 0.3)

    async def main() -> tuple[list[int], list[int]]:
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[int]()
        queue.put(partial(done.append, 1))
        await asyncio.sleep(0.02)
        early = list(done)
        await asyncio.sleep(0.5)
        return early, done

    assert asyncio.run(main()) == ([], [1])


def test_a_backlog_takes_fewer_iterations_than_it_has_jobs() -> None:
    iterations = 0

    async def main() -> list[int]:
        nonlocal iterations
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[int]()
        for number in range(200):
            queue.put(partial(done.append, number))
        while len(done) < 200:
            iterations += bool(done)
            await asyncio.sleep(0)
        return done

    assert asyncio.run(main()) == list(range(200))
    assert 16 < iterations < 70


def test_flush_runs_all_jobs_once() -> None:
    async def main() -> list[str]:
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[str]()
        queue.put(lambda: done.append("one"))
        queue.put(lambda: done.append("two"))
        queue.flush()
        assert done == ["one", "two"]
        await asyncio.sleep(0.01)
        queue.put(lambda: done.append("three"))
        await asyncio.sleep(0.01)
        return done

    assert asyncio.run(main()) == ["one", "two", "three"]


def test_a_job_that_raises_does_not_stop_the_others() -> None:
    errors: list[str] = []

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(str(context["exception"])))
        queue, done = DeferredQueue(loop), list[str]()

        def fail() -> None:
            raise ValueError("this one")

        queue.put(fail)
        queue.put(lambda: done.append("after"))
        await asyncio.sleep(0.01)
        return done

    assert asyncio.run(main()) == ["after"]
    assert errors == ["this one"]
