"""`Timing` with a test clock: only content counts, and all events in one read share one time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from undam.client import Comment, Event, Finish, Text, Timing, ToolCall, Usage, aevents, events

MS = 1_000_000


class Clock:
    """Clock that the test advances."""

    def __init__(self) -> None:
        self.now_ns = 5_000 * MS

    def __call__(self) -> int:
        return self.now_ns

    def after(self, ms: float) -> None:
        self.now_ns += round(ms * MS)


def _chunk(text: str) -> bytes:
    return b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % text.encode()


_SCRIPT: list[tuple[float, bytes]] = [
    (100, _chunk("")),  # A role or an empty delta is not content.
    (100, b": ping\n\n"),
    (100, _chunk("a")),
    (20, _chunk("b") + _chunk("c")),
    (1500, b"event: ping\n\n" + _chunk("d")),
    (30, b'data: {"choices": [], "usage": {"completion_tokens": 8}}\n\n'),
    (50, b"data: [DONE]\n\n"),
]


def _reads(clock: Clock) -> Iterator[bytes]:
    for wait_ms, data in _SCRIPT:
        clock.after(wait_ms)
        yield data


def _expect(timing: Timing) -> None:
    assert timing.summary() == {
        "head_ms": 10.0,
        "ttft_ms": 310.0,
        "duration_ms": 1910.0,
        "itl_ms": {"p50": 20.0, "p99": 1500.0, "max": 1500.0},
        "events": 4,
        "reads": 3,
        "most_per_read": 2,
        "stalls": 1,
        "longest_stall_ms": 1500.0,
        "heartbeats": 1,
        "output_tokens": 8,
        "tokens_per_second": 4.6,
    }
    assert timing.gaps_ms == (20.0, 0.0, 1500.0)
    assert timing.stalls_ms == (1500.0,)


def test_events_are_timed_by_their_reads() -> None:
    clock = Clock()
    timing = Timing(clock=clock)
    clock.after(10)
    timing.head()
    count = 0
    for _event in timing.watch(events(_reads(clock))):
        count += 1
    clock.after(9999)  # Events after the end marker do not count.
    assert count == 7
    _expect(timing)


def test_asynchronous_events_are_timed_by_their_reads() -> None:
    clock = Clock()

    async def reads() -> AsyncIterator[bytes]:
        for data in _reads(clock):
            yield data

    async def run() -> Timing:
        timing = Timing(clock=clock)
        clock.after(10)
        timing.head()
        async for _event in timing.awatch(aevents(reads())):
            pass
        return timing

    _expect(asyncio.run(run()))


def test_a_slow_program_does_not_change_the_times() -> None:
    clock = Clock()
    timing = Timing(clock=clock)
    for _event in timing.watch(events(iter([_chunk("a") + _chunk("b") + _chunk("c")]))):
        clock.after(500)
    assert timing.gaps_ms == (0.0, 0.0)


def test_deltas_of_any_iterator_are_timed() -> None:
    clock = Clock()

    def deltas() -> Iterator[object]:
        for item in (Text("a"), ToolCall(0, "i", "f"), Usage(3, 7), Finish("stop")):
            clock.after(40)
            yield item

    timing = Timing(clock=clock)
    assert len(list(timing.watch(deltas()))) == 4
    assert (timing.ttft_ms, timing.gaps_ms, timing.output_tokens) == (40.0, (40.0,), 7)


def test_reads_of_bytes_are_timed() -> None:
    clock = Clock()

    def reads() -> Iterator[bytes]:
        for data in (b"", b"a", b"b"):
            clock.after(10)
            yield data

    timing = Timing(clock=clock)
    assert list(timing.watch(reads())) == [b"", b"a", b"b"]
    assert (timing.ttft_ms, timing.gaps_ms) == (20.0, (10.0,))


def test_an_anthropic_stream_needs_the_api_name() -> None:
    delta = '{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}'
    start = Event('{"type": "message_start", "message": {}}', "message_start")
    timing = Timing(api="anthropic-messages", clock=Clock())
    timing.read([start, Event('{"type": "ping"}', "ping"), Event(delta, "content_block_delta")])
    assert (timing.events, timing.heartbeats) == (1, 1)


def test_a_broken_stream_has_results() -> None:
    clock = Clock()

    def reads() -> Iterator[bytes]:
        clock.after(100)
        yield _chunk("a")
        clock.after(100)
        raise ConnectionResetError

    timing = Timing(clock=clock)
    with pytest.raises(ConnectionResetError):
        list(timing.watch(events(reads())))
    clock.after(1000)
    assert (timing.ttft_ms, timing.duration_ms) == (100.0, 200.0)


def test_leaving_a_stream_closes_it() -> None:
    closed: list[bool] = []

    def reads() -> Iterator[bytes]:
        try:
            yield _chunk("a") + _chunk("b")
        finally:
            closed.append(True)

    for _event in Timing().watch(events(reads())):
        break
    assert closed == [True]


def test_an_empty_stream_has_no_times() -> None:
    clock = Clock()
    timing = Timing(clock=clock)
    clock.after(70)
    summary = timing.summary()
    assert summary["duration_ms"] == 70.0
    assert [summary[key] for key in ("head_ms", "ttft_ms", "itl_ms", "tokens_per_second")] == [
        None
    ] * 4
    timing.read([Comment("ping")])
    timing.start()
    assert (timing.heartbeats, timing.duration_ms) == (1, 0.0)
