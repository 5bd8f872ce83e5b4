"""Heartbeats: after silence only, in the form that is safe, from one timer for all streams."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.asgi_calls import Call, run
from undam.asgi import EventStream
from undam.asgi.interface import Reason
from undam.asgi.response.stream_timer import Heart, heart_of
from undam.sse import Event, Parser

BEAT = 0.05


async def _silent(first: Any = None, seconds: float = 10.0) -> AsyncIterator[Any]:
    if first is not None:
        yield first
    await asyncio.sleep(seconds)


def _beats(call: Call) -> list[bytes]:
    return [body for body in call.bodies if body.startswith(b": ping")]


async def _cut(call: Call, task: asyncio.Task[None]) -> None:
    call.left.set()
    await task


def test_a_heartbeat_comes_before_the_first_event_and_again() -> None:
    async def main() -> None:
        call = Call()
        task = call.start(EventStream(_silent(), heartbeat=BEAT))
        await call.until(lambda: len(_beats(call)) == 3)
        gaps = [b - a for a, b in zip(call.at[1:], call.at[2:], strict=False)]
        assert min(gaps) >= BEAT * 0.95
        assert set(_beats(call)) == {b": ping\n\n"}
        await _cut(call, task)

    run(main())


def test_a_busy_stream_carries_none() -> None:
    async def main() -> None:
        async def busy() -> AsyncIterator[str]:
            for _ in range(30):
                yield "a"
                await asyncio.sleep(0.01)

        call = await Call().serve(EventStream(busy(), heartbeat=0.2))
        assert _beats(call) == []

    run(main())


def test_the_silence_counts_from_the_last_write() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            await asyncio.sleep(0.15)
            yield "a"
            await asyncio.sleep(10)

        call = Call()
        task = call.start(EventStream(source(), heartbeat=0.2))
        await call.until(lambda: _beats(call))
        event, beat = call.bodies.index(b"data: a\n\n"), call.bodies.index(b": ping\n\n")
        assert event < beat
        assert call.at[beat + 1] - call.at[event + 1] >= 0.19
        await _cut(call, task)

    run(main())


def test_after_an_id_it_has_no_blank_line_of_its_own() -> None:
    async def main() -> None:
        call = Call()
        task = call.start(EventStream(_silent(Event("a", id="1")), heartbeat=BEAT))
        await call.until(lambda: len(_beats(call)) == 2)
        assert set(_beats(call)) == {b": ping\n"}
        await _cut(call, task)
        assert [item for item in Parser().receive_data(call.body) if isinstance(item, Event)] == [
            Event("a", id="1")
        ]

    run(main())


def test_none_sends_none() -> None:
    async def main() -> None:
        call = await Call().serve(EventStream(_silent(seconds=0.2), heartbeat=None))
        assert call.bodies == [b": open\n", b""]

    run(main())


def test_none_is_added_to_a_write_that_waits() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            while True:
                yield "a"
                await asyncio.sleep(0)

        call = Call()
        task = call.start(EventStream(source(), heartbeat=0.02))
        await call.until(lambda: len(call.bodies) > 3)
        call.free.clear()
        before = len(asyncio.all_tasks())
        await asyncio.sleep(0.15)
        assert len(asyncio.all_tasks()) == before
        call.free.set()
        await asyncio.sleep(0)
        assert _beats(call) == []
        await _cut(call, task)

    run(main())


def test_a_stream_waits_for_its_heartbeat_before_it_ends() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def source() -> AsyncIterator[str]:
            await gate.wait()
            for text in list[str]():
                yield text

        class Server(Call):
            async def send(self, message: dict[str, Any]) -> None:
                if message.get("body", b"").startswith(b": ping"):
                    gate.set()
                    await asyncio.sleep(0.05)
                assert not (self.sent and self.complete)
                await super().send(message)

        call = await Server().serve(EventStream(source(), heartbeat=0.02))
        assert call.bodies == [b": open\n", b": ping\n\n", b""]

    run(main())


def test_a_heartbeat_that_cannot_be_sent_ends_the_stream() -> None:
    async def main() -> None:
        class Server(Call):
            async def send(self, message: dict[str, Any]) -> None:
                if message.get("body", b"").startswith(b": ping"):
                    raise BrokenPipeError
                await super().send(message)

        reasons: list[str] = []
        await Server().serve(EventStream(_silent(), heartbeat=0.02, on_close=reasons.append))
        assert reasons == ["client-left"]

    run(main())


class _Patient:
    def __init__(self, every: float) -> None:
        self.closed = False
        self.every = every
        self.pulses: list[float] = []

    def pulse(self, now: float) -> float:
        self.pulses.append(now)
        return now + self.every

    def end(self, reason: Reason) -> None:
        self.closed = True


class _Loop:
    """Counts the timers that were set and not cancelled, and fires them by hand."""

    def __init__(self) -> None:
        self.timers: list[_Timer] = []

    def call_later(self, delay: float, call: Callable[[], None]) -> _Timer:
        timer = _Timer(time.monotonic() + delay, call)
        self.timers.append(timer)
        return timer

    def live(self) -> list[_Timer]:
        return [timer for timer in self.timers if not timer.gone]

    def fire(self) -> None:
        (timer,) = self.live()
        time.sleep(max(0.0, timer.at - time.monotonic()))
        timer.gone = True
        timer.call()


class _Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.gone = at, call, False

    def cancel(self) -> None:
        self.gone = True


def _heart() -> tuple[Heart, _Loop]:
    loop: Any = _Loop()
    return Heart(loop), loop


def test_one_timer_serves_all_streams() -> None:
    heart, loop = _heart()
    now = time.monotonic()
    streams = [_Patient(0.02 + i / 10_000) for i in range(50)]
    for stream in streams:
        heart.add(stream, now + stream.every, stream.every)
        assert len(loop.live()) == 1
    while not all(stream.pulses for stream in streams):
        loop.fire()
    assert len(loop.timers) < 50
    for stream in streams:
        assert stream.pulses[0] >= now + stream.every


def test_an_earlier_stream_pulls_the_timer_forward() -> None:
    heart, loop = _heart()
    now = time.monotonic()
    late, early = _Patient(100.0), _Patient(0.01)
    heart.add(late, now + late.every, late.every)
    heart.add(early, now + early.every, early.every)
    loop.fire()
    assert early.pulses
    assert not late.pulses


def test_the_timer_is_gone_with_the_last_stream() -> None:
    heart, loop = _heart()
    stream = _Patient(10.0)
    heart.add(stream, time.monotonic() + 10.0, 10.0)
    stream.closed = True
    heart.remove(stream)
    assert loop.live() == []


def test_streams_that_came_and_went_are_not_kept() -> None:
    heart, _ = _heart()
    stays = _Patient(100.0)
    heart.add(stays, time.monotonic() + 100.0, 100.0)
    gone = []
    for _ in range(1000):
        stream = _Patient(100.0)
        heart.add(stream, time.monotonic() + 100.0, 100.0)
        stream.closed = True
        heart.remove(stream)
        gone.append(weakref.ref(stream))
    del stream
    gc.collect()
    assert sum(ref() is not None for ref in gone) < 200


def test_a_closed_stream_gets_no_pulse() -> None:
    heart, loop = _heart()
    closed, stays = _Patient(0.01), _Patient(0.02)
    for stream in (closed, stays):
        heart.add(stream, time.monotonic() + stream.every, stream.every)
    closed.closed = True
    heart.remove(closed)
    while not stays.pulses:
        loop.fire()
    assert closed.pulses == []


def test_a_server_that_stops_ends_the_streams_that_are_and_that_come() -> None:
    async def main() -> None:
        heart = heart_of(asyncio.get_running_loop())
        stopping: list[bool] = []
        reasons: list[str] = []
        stays = _Patient(100.0)
        heart.add(stays, None)
        heart.watch("server", lambda: bool(stopping))
        stopping.append(True)
        call = Call()
        await call.serve(EventStream(_silent(), on_close=reasons.append))
        late = Call()
        await late.serve(EventStream(_silent(), on_close=reasons.append))
        assert reasons == ["shutdown"] * 2
        heart.remove(stays)

    run(main())


def test_a_heart_goes_with_its_loop() -> None:
    loop = asyncio.new_event_loop()
    heart = weakref.ref(heart_of(loop))
    assert heart_of(loop) is heart()
    loop.close()
    del loop
    gc.collect()
    assert heart() is None
