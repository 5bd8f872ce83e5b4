"""Fair scheduling: a source that never suspends does not starve other streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream
from undam.asgi.response.driven_response import TURN_EVENTS


async def _spins(done: asyncio.Event) -> int:
    """Count the loop iterations until ``done`` is set."""
    turns = 0
    while not done.is_set():
        turns += 1
        await asyncio.sleep(0)
    return turns


def _turns_for(events: int, work_s: float) -> int:
    async def main() -> int:
        done = asyncio.Event()

        async def source() -> AsyncIterator[str]:
            for _ in range(events):
                if work_s:
                    time.sleep(work_s)  # noqa: ASYNC251 (the source must block)
                yield "a"
            done.set()

        spinning = asyncio.create_task(_spins(done))
        await Call().serve(EventStream(source()))
        return await spinning

    return run(main())


def test_a_source_that_never_suspends_yields_after_a_count() -> None:
    turns = _turns_for(TURN_EVENTS * 20, 0)
    assert turns >= 20


def test_a_computing_source_yields_after_a_time() -> None:
    # Each event takes 3 ms to compute, so the source must yield after each one: the event is sent
    # before the next one is computed. The response detects this only after the first event, so 19
    # yields are enough.
    assert _turns_for(20, 0.003) >= 19


def test_a_paced_source_causes_no_extra_loop_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.asgi.response.streamed_response.TURN_S", 0.04)
    sleeps: list[float] = []
    sleep = asyncio.sleep

    async def counting(delay: float) -> None:
        sleeps.append(delay)
        await sleep(delay)

    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            loop = asyncio.get_running_loop()
            for _ in range(10):
                waiter = loop.create_future()
                loop.call_later(0.06, waiter.set_result, None)
                await waiter
                yield "a"

        monkeypatch.setattr(asyncio, "sleep", counting)
        assert (await Call().serve(EventStream(source(), heartbeat=None))).complete
        # The stream yields to the loop once, after the head. It does not yield after events,
        # although each event took longer than a turn.
        assert sleeps == [0]

    run(main())


def test_paced_streams_progress_beside_one_that_never_suspends() -> None:
    async def main() -> None:
        async def never() -> AsyncIterator[str]:
            while True:
                yield "a"

        async def paced() -> AsyncIterator[str]:
            for _ in range(20):
                await asyncio.sleep(0.005)
                yield "a"

        greedy = Call()
        hog = greedy.start(EventStream(never()))
        calls = [Call() for _ in range(20)]
        await asyncio.gather(*(call.serve(EventStream(paced())) for call in calls))
        assert all(call.complete for call in calls)
        assert len(greedy.bodies) > TURN_EVENTS
        greedy.disconnected.set()
        await hog

    run(main())


def test_exceptions_of_the_task_are_raised_in_the_source() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            for seconds in (0.01, 0.02):
                try:
                    async with asyncio.timeout(seconds):
                        await asyncio.Event().wait()
                except TimeoutError:
                    yield "timed out"
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                return

        call = await Call().serve(EventStream(source()))
        assert call.bodies[1:3] == [b"data: timed out\n\n"] * 2
        assert call.complete

    run(main())
