"""`MemoryReplay` with `EventStream`: start of the source, several readers, and stored events."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.asgi_calls import Call
from support.asgi_replay import data_of, events_with_ids, reconnect, run_on, wait_for_events
from undam.asgi import EventStream, MemoryReplay, StreamBroken
from undam.asgi.replay.stream_channel import StreamChannel
from undam.errors import UsageError

pytestmark = pytest.mark.slow  # Uses sockets, and waits for events that must not occur.

LONG = 30.0


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Source:
    """Source that yields numbers and counts how often it was started and closed."""

    def __init__(self, count: int, gap: float = 0.0, fail: bool = False) -> None:
        self.count, self.gap, self.fail = count, gap, fail
        self.begun = self.closed = self.given = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> AsyncIterator[str]:
        self.begun += 1
        try:
            for number in range(self.count):
                await self.go.wait()
                if self.gap:
                    await asyncio.sleep(self.gap)
                self.given = number + 1
                yield str(number)
            if self.fail:
                raise RuntimeError("secret")
        finally:
            self.closed += 1


def _stream(memory: MemoryReplay, source: Callable[[], Any], key: str = "k", **options: Any) -> Any:
    return EventStream(source, replay=memory, replay_key=key, **options)


def _channels() -> int:
    gc.collect()
    return sum(isinstance(thing, StreamChannel) for thing in gc.get_objects())


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def test_one_source_serves_all_readers_of_a_key(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(20, 0.005)
        calls = [Call() for _ in range(5)]
        tasks = [call.start(_stream(memory, source)) for call in calls[:3]]
        await calls[0].until(lambda: len(data_of(calls[0])) >= 5)
        tasks += [call.start(_stream(memory, source)) for call in calls[3:]]
        await asyncio.gather(*tasks)
        assert source.begun == source.closed == 1
        assert all(data_of(call) == _numbers(0, 20) for call in calls)
        assert all(call.complete for call in calls)
        assert len({call.body for call in calls}) == 1

    run_on(loop, main())


def test_a_reconnecting_reader_gets_every_event_once(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(60, 0.002)
        seen: list[tuple[str, str]] = []
        ident = ""
        visits = 0
        while len(seen) < 60:
            call = reconnect(ident) if ident else Call()
            task = call.start(_stream(memory, source))
            await wait_for_events(call, min(7, 60 - len(seen)))
            call.disconnected.set()
            await task
            seen += events_with_ids(call.body)
            ident = seen[-1][0]
            visits += 1
        assert [data for _, data in seen] == _numbers(0, 60)
        assert len({ident for ident, _ in seen}) == 60
        assert visits > 3
        assert source.begun == 1

    run_on(loop, main())


def test_the_stream_continues_without_readers(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(linger_s=LONG), Source(10)
        source.go.clear()
        call = Call()
        task = call.start(_stream(memory, source))
        await call.until(lambda: source.begun)
        call.disconnected.set()
        await task
        assert memory.readers == 0
        source.go.set()
        await call.until(lambda: source.closed)
        assert source.given == 10
        again = await Call().serve(_stream(memory, source))
        assert data_of(again) == _numbers(0, 10)
        assert again.complete
        assert source.begun == 1

    run_on(loop, main())


def test_the_source_is_cancelled_after_the_linger_time(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(linger_s=0.1), Source(10)
        source.go.clear()
        call = Call()
        task = call.start(_stream(memory, source))
        await call.until(lambda: source.begun)
        call.disconnected.set()
        await task
        assert (len(memory), source.closed) == (1, 0)
        await call.until(lambda: source.closed)
        assert len(memory) == 0

    run_on(loop, main())


def test_a_new_reader_cancels_the_linger_timer(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(linger_s=0.2), Source(10)
        source.go.clear()
        for _ in range(3):
            call = Call()
            task = call.start(_stream(memory, source))
            await asyncio.sleep(0.15)
            call.disconnected.set()
            await task
        assert (source.begun, source.closed) == (1, 0)
        last = Call()
        task = last.start(_stream(memory, source))
        await asyncio.sleep(0.4)  # Twice the linger time has passed, but a reader is connected.
        source.go.set()
        await task
        assert data_of(last) == _numbers(0, 10)

    run_on(loop, main())


def test_an_ended_stream_is_dropped_after_the_linger_time(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(linger_s=0.15), Source(3)
        first = await Call().serve(_stream(memory, source))
        ident = events_with_ids(first.body)[0][0]
        again = await reconnect(ident).serve(_stream(memory, source))
        assert data_of(again) == ["1", "2"]
        await first.until(lambda: len(memory) == 0)
        # The stream has been dropped, and a reconnecting reader does not start the source again.
        late = await reconnect(ident).serve(_stream(memory, source))
        assert (late.status, late.body) == (204, b"")
        assert source.begun == 1

    run_on(loop, main())


def test_a_reader_that_has_everything_gets_204(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(3)
        first = await Call().serve(_stream(memory, source))
        last = events_with_ids(first.body)[-1][0]
        assert (await reconnect(last).serve(_stream(memory, source))).status == 204
        query = f"last_event_id={last}".encode()
        assert (await Call(query_string=query).serve(_stream(memory, source))).status == 204

    run_on(loop, main())


def test_a_gap_event_is_followed_by_the_stored_events(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(max_events=5), Source(20)
        first = Call()
        task = first.start(_stream(memory, source))
        await first.until(lambda: data_of(first))
        first.disconnected.set()
        await task
        await first.until(lambda: source.closed)
        ident = events_with_ids(first.body)[0][0]
        again = await reconnect(ident).serve(_stream(memory, source))
        gap_event = b'event: gap\ndata: {"last_event_id":"%b"}\n\n' % ident.encode()
        assert again.body.startswith(b": open\n" + gap_event)
        assert data_of(again) == _numbers(15, 20)
        assert again.complete

    run_on(loop, main())


def test_a_gap_can_be_answered_with_204(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(max_events=5, on_gap="204"), Source(20, 0.001)
        ident = events_with_ids((await Call().serve(_stream(memory, source))).body)[0][0]
        assert (await reconnect(ident).serve(_stream(memory, source))).status == 204

    run_on(loop, main())


def test_a_late_first_reader_gets_a_gap_event(loop: str) -> None:
    async def main() -> None:
        for on_gap in ("event", "204"):
            memory, source = MemoryReplay(max_events=5, on_gap=on_gap), Source(20)
            await Call().serve(_stream(memory, source))
            late = await Call().serve(_stream(memory, source))
            assert late.body.startswith(b': open\nevent: gap\ndata: {"last_event_id":""}\n\n')
            assert data_of(late) == _numbers(15, 20)

    run_on(loop, main())


def test_a_gap_in_an_openai_stream_is_an_error_event(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(max_events=5), Source(20)
        await Call().serve(_stream(memory, source, openai=True))
        late = await Call().serve(_stream(memory, source, openai=True))
        assert late.body.startswith(b': open\ndata: {"error":{"message":')
        assert late.body.endswith(b"data: [DONE]\n\n")

    run_on(loop, main())


@pytest.mark.parametrize(
    "ident",
    [
        b"x" * 10_000,
        b"a\0b",
        b"\xff\xfe",
        "\U0001f680".encode(),
        b"0:1",
        b"f" * 24 + b":1",
        b'"},"x":{"',
        b"a\rb",
    ],
    ids=repr,
)
def test_a_hostile_last_event_id_is_a_gap(loop: str, ident: bytes) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(3)
        unknown = await reconnect(ident).serve(_stream(memory, source))
        assert unknown.status == 204
        assert source.begun == 0
        await Call().serve(_stream(memory, source))
        call = await reconnect(ident).serve(_stream(memory, source))
        opening, gap, *_ = call.body.split(b"\n\n")
        assert opening.split(b"\n")[:2] == [b": open", b"event: gap"]
        assert len(opening) < 1000
        assert gap.startswith(b"id: ")
        assert b"\r" not in call.body
        assert b"\0" not in call.body
        assert data_of(call) == ["0", "1", "2"]

    run_on(loop, main())


def test_an_id_of_another_stream_or_run_is_a_gap(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(linger_s=0.05), Source(3)
        of_other = events_with_ids((await Call().serve(_stream(memory, source, "other"))).body)[0][
            0
        ]
        mine = await Call().serve(_stream(memory, source))
        call = await reconnect(of_other).serve(_stream(memory, source))
        assert b"event: gap" in call.body
        await call.until(lambda: len(memory) == 0)
        await Call().serve(_stream(memory, source))
        earlier = events_with_ids(mine.body)[0][0]
        assert b"event: gap" in (await reconnect(earlier).serve(_stream(memory, source))).body

    run_on(loop, main())


def test_an_error_of_the_source_is_an_event_with_an_id_for_all_readers(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(3, 0.001, fail=True)
        calls = [Call() for _ in range(3)]
        tasks = [call.start(_stream(memory, source)) for call in calls]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, StreamBroken) for one in results)
        for call in calls:
            assert not call.complete
            assert b"event: error\ndata: " in call.body
            assert b"secret" not in call.body
        ident = calls[0].body.rpartition(b"id: ")[2].split(b"\n")[0]
        assert (await reconnect(ident).serve(_stream(memory, source))).status == 204
        # A reader that connects after the error receives the error as well.
        with pytest.raises(StreamBroken):
            await Call().serve(_stream(memory, source))

    with caplog.at_level(logging.DEBUG, "undam.asgi"):
        run_on(loop, main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "secret" in (caplog.records[0].exc_text or caplog.text)


def test_the_end_of_an_openai_answer_can_be_resumed_between_its_events(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(2)
        whole = await Call().serve(_stream(memory, source, openai=True))
        events = events_with_ids(whole.body)
        assert events[-1][1] == "[DONE]"
        assert '"finish_reason":"stop"' in events[-2][1]
        again = await reconnect(events[-2][0]).serve(_stream(memory, source, openai=True))
        assert events_with_ids(again.body) == events[-1:]
        assert again.complete

    run_on(loop, main())


def test_a_slow_reader_pauses_a_fast_source_and_misses_nothing(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(max_events=10), Source(500)
        call = Call()
        task = call.start(_stream(memory, source))
        await call.until(lambda: len(data_of(call)) >= 5)
        call.writable.clear()
        given = -1
        while given != source.given:
            given = source.given
            await asyncio.sleep(0.05)
        assert source.given < 500
        # Events that the server accepted, one in progress, 10 stored, and one waiting for space.
        assert source.given <= len(data_of(call)) + 1 + 10 + 1
        call.writable.set()
        await task
        assert data_of(call) == _numbers(0, 500)

    run_on(loop, main())


def test_a_frozen_reader_delays_others_for_slow_s_and_gets_a_gap(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(max_events=10, slow_s=0.2), Source(200)
        frozen, other = Call(), Call()
        source.go.clear()
        tasks = [frozen.start(_stream(memory, source)), other.start(_stream(memory, source))]
        await other.until(lambda: len(frozen.bodies) == len(other.bodies) == 1)
        frozen.writable.clear()
        source.go.set()
        await tasks[1]
        assert data_of(other) == _numbers(0, 200)
        frozen.writable.set()
        with pytest.raises(StreamBroken):
            await tasks[0]
        seen = data_of(frozen)
        assert seen == _numbers(0, len(seen))
        assert b"event: error" in frozen.body
        assert not frozen.complete

    with caplog.at_level(logging.DEBUG, "undam.asgi"):
        run_on(loop, main())
    assert ["too slow" in record.getMessage() for record in caplog.records] == [True]


def test_stored_bytes_are_bounded(loop: str) -> None:
    async def main() -> None:
        memory = MemoryReplay(max_bytes=1000)

        async def source() -> AsyncIterator[str]:
            for number in range(50):
                yield f"{number}-" + "x" * 190

        await Call().serve(_stream(memory, source))
        late = await Call().serve(_stream(memory, source))
        assert [data.split("-")[0] for data in data_of(late)] == ["46", "47", "48", "49"]

    run_on(loop, main())


def test_a_full_store_drops_ended_streams_first_then_unread_ones(
    loop: str,
) -> None:
    async def main() -> None:
        memory = MemoryReplay(max_streams=3)
        ended, read, unread = Source(1), Source(1), Source(1)
        for source in (read, unread):
            source.go.clear()
        left = Call()
        task = left.start(_stream(memory, unread, "unread"))
        await left.until(lambda: unread.begun)
        left.disconnected.set()
        await task
        await Call().serve(_stream(memory, ended, "ended"))
        reader = Call()
        reading = reader.start(_stream(memory, read, "read"))
        await reader.until(lambda: read.begun)
        assert len(memory) == 3

        await Call().serve(_stream(memory, Source(1), "a"))
        assert (len(memory), unread.closed) == (3, 0)
        again = await Call().serve(
            _stream(memory, ended, "ended")
        )  # The stream had been dropped, so the source starts again.
        assert (ended.begun, data_of(again)) == (2, ["0"])
        held = Source(1)
        held.go.clear()
        other = Call()
        others = other.start(_stream(memory, held, "held"))
        await other.until(lambda: held.begun)
        more = Source(1)
        more.go.clear()
        last = Call()
        lasts = last.start(_stream(memory, more, "more"))
        await last.until(lambda: unread.closed)  # Only the stream without readers was dropped.
        assert (len(memory), read.closed, held.closed) == (3, 0, 0)
        for source in (read, held, more):
            source.go.set()
        await asyncio.gather(reading, others, lasts)

    run_on(loop, main())


def test_a_stream_beyond_max_streams_is_served_but_not_stored(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        memory = MemoryReplay(max_streams=1)
        kept, further = Source(3), Source(30, 0.005)
        kept.go.clear()
        reader = Call()
        reading = reader.start(_stream(memory, kept, "kept"))
        await reader.until(lambda: kept.begun)
        whole = await Call().serve(_stream(memory, Source(3), "whole"))
        assert data_of(whole) == ["0", "1", "2"]
        left = Call()
        task = left.start(_stream(memory, further, "further"))
        await left.until(lambda: data_of(left))
        left.disconnected.set()
        await task
        await left.until(lambda: further.closed)
        assert further.given < 30
        ident = events_with_ids(left.body)[0][0]
        assert (await reconnect(ident).serve(_stream(memory, further, "further"))).status == 204
        assert len(memory) == 1
        kept.go.set()
        await reading

    with caplog.at_level(logging.DEBUG, "undam.asgi"):
        run_on(loop, main())
    assert ["max_streams" in record.getMessage() for record in caplog.records] == [True]


def test_ids_are_random_and_heartbeats_end_with_one_newline(loop: str) -> None:
    async def main() -> None:
        memory, source = MemoryReplay(), Source(2, 0.1)
        call = await Call().serve(_stream(memory, source, heartbeat=0.03))
        assert b": ping\n" in call.body
        assert b": ping\n\n" not in call.body
        epochs = {ident.partition(":")[0] for ident, _ in events_with_ids(call.body)}
        assert len(epochs) == 1
        assert len(epochs.pop()) == 24

    run_on(loop, main())


def test_nothing_is_left_after_the_linger_time(loop: str) -> None:
    async def main() -> None:
        memory = MemoryReplay(linger_s=0.05)
        before = _channels()
        for number in range(30):
            source = Source(5, 0.001)
            call = Call()
            task = call.start(_stream(memory, source, str(number)))
            await wait_for_events(call, number % 5)
            if number % 2:
                call.disconnected.set()
            await task
            assert len(memory) > 0
        await call.until(lambda: len(memory) == 0)
        await asyncio.sleep(0.05)
        assert memory.readers == 0
        assert _channels() <= before

    run_on(loop, main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_events": 0}, "max_events"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_streams": 0}, "max_streams"),
        ({"linger_s": -1}, "linger_s"),
        ({"linger_s": float("nan")}, "linger_s"),
        ({"slow_s": float("inf")}, "slow_s"),
        ({"on_gap": "ignore"}, "on_gap"),
    ],
)
def test_an_invalid_bound_is_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MemoryReplay(**options)
