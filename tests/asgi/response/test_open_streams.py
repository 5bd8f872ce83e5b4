"""Open streams of an event loop: heartbeats and shutdown."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream
from undam.asgi.interface import Reason
from undam.asgi.response.open_streams import open_streams
from undam.asgi.response.streamed_response import StreamedResponse
from undam.sse import Event, Parser

BEAT = 0.05


async def _silent(first: Any = None, seconds: float = 10.0) -> AsyncIterator[Any]:
    if first is not None:
        yield first
    await asyncio.sleep(seconds)


def _beats(call: Call) -> list[bytes]:
    return [body for body in call.bodies if body.startswith(b": ping")]


async def _cut(call: Call, task: asyncio.Task[None]) -> None:
    call.disconnected.set()
    await task


def test_heartbeats_are_sent_before_the_first_event() -> None:
    async def main() -> None:
        call = Call()
        task = call.start(EventStream(_silent(), heartbeat=BEAT))
        await call.until(lambda: len(_beats(call)) == 3)
        gaps = [b - a for a, b in zip(call.at[1:], call.at[2:], strict=False)]
        assert min(gaps) >= BEAT * 0.95
        assert set(_beats(call)) == {b": ping\n\n"}
        await _cut(call, task)

    run(main())


def test_a_busy_stream_has_no_heartbeats() -> None:
    async def main() -> None:
        async def busy() -> AsyncIterator[str]:
            for _ in range(30):
                yield "a"
                await asyncio.sleep(0.01)

        call = await Call().serve(EventStream(busy(), heartbeat=0.2))
        assert _beats(call) == []

    run(main())


def test_the_interval_starts_at_the_last_write() -> None:
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


def test_after_an_id_a_heartbeat_has_no_blank_line() -> None:
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


def test_heartbeat_none_sends_no_heartbeats() -> None:
    async def main() -> None:
        call = await Call().serve(EventStream(_silent(seconds=0.2), heartbeat=None))
        assert call.bodies == [b": open\n", b""]

    run(main())


def test_no_heartbeat_is_sent_during_a_blocked_write() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            while True:
                yield "a"
                await asyncio.sleep(0)

        call = Call()
        task = call.start(EventStream(source(), heartbeat=0.02))
        await call.until(lambda: len(call.bodies) > 3)
        call.writable.clear()
        before = len(asyncio.all_tasks())
        await asyncio.sleep(0.15)
        assert len(asyncio.all_tasks()) == before
        call.writable.set()
        await asyncio.sleep(0)
        assert _beats(call) == []
        await _cut(call, task)

    run(main())


def test_the_end_waits_for_a_heartbeat_in_progress() -> None:
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


def test_a_failed_heartbeat_ends_the_stream() -> None:
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


class _Stream:
    def __init__(self) -> None:
        self.reasons: list[Reason] = []

    def end(self, reason: Reason) -> None:
        self.reasons.append(reason)


def test_streams_with_the_same_heartbeat_share_wake_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        fired: list[float] = []
        on_deadline = StreamedResponse.on_deadline

        def counting(stream: StreamedResponse, now: float) -> float:
            fired.append(now)
            return on_deadline(stream, now)

        monkeypatch.setattr(StreamedResponse, "on_deadline", counting)
        calls = [Call() for _ in range(50)]
        tasks = [call.start(EventStream(_silent(), heartbeat=0.2)) for call in calls]
        for call in calls:
            await call.until(lambda: _beats(call))  # noqa: B023 (awaited in this iteration)
        assert len(set(fired)) < len(calls) / 2
        for call, task in zip(calls, tasks, strict=True):
            await _cut(call, task)

    run(main())


def test_a_finished_stream_is_freed() -> None:
    async def main() -> None:
        gone: list[weakref.ref[Any]] = []
        for _ in range(300):
            call = Call()
            stream = EventStream([], heartbeat=100.0)
            await call.serve(stream)
            gone.append(weakref.ref(call))
            del call, stream
        gc.collect()
        assert sum(ref() is not None for ref in gone) < 200

    run(main())


def test_a_server_that_stops_ends_open_and_new_streams() -> None:
    async def main() -> None:
        registry = open_streams()
        stopping: list[bool] = []
        reasons: list[str] = []
        stays = _Stream()
        registry.add(stays)
        registry.poll("server", lambda: bool(stopping))
        stopping.append(True)
        call = Call()
        await call.serve(EventStream(_silent(), on_close=reasons.append))
        late = Call()
        await late.serve(EventStream(_silent(), on_close=reasons.append))
        assert reasons == ["shutdown"] * 2
        assert set(stays.reasons) == {"shutdown"}
        registry.remove(stays)

    run(main())


def test_polling_stops_with_the_last_stream() -> None:
    async def main() -> None:
        registry, stream, polls = open_streams(), _Stream(), list[str]()

        def is_stopping() -> bool:
            polls.append("poll")
            return False

        registry.add(stream)
        registry.poll("server", is_stopping)
        registry.remove(stream)
        await asyncio.sleep(0.3)
        assert polls == []

    run(main())


def test_a_registry_is_freed_with_its_loop() -> None:
    loop = asyncio.new_event_loop()
    registry = weakref.ref(open_streams(loop))
    assert open_streams(loop) is registry()
    loop.close()
    del loop
    gc.collect()
    assert registry() is None
