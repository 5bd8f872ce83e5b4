"""A scheduled stream: bytes that are due, heartbeats, early closes, and the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.simulator.apis.response_format import DueEvent
from undam.simulator.stream import HEARTBEAT, ScheduledStream, Script, StreamState


def stream(events: Iterable[DueEvent], **options: Any) -> ScheduledStream:
    given: dict[str, Any] = {"chunked": False, "keep_alive": True, **options}
    script = Script(
        exchange_id="x", path="/sse", arrived_ns=0, head=b"HEAD", events=iter(list(events)), **given
    )
    return ScheduledStream(script, 0)


def event(due_ns: int, data: bytes = b"e\n\n") -> DueEvent:
    return DueEvent(due_ns, data, True)


def test_only_due_events_are_returned() -> None:
    scheduled = stream([event(10), event(20), event(20), event(30)])
    assert scheduled.wake_ns == 10
    assert scheduled.take(9) == (b"", [])
    assert scheduled.take(10) == (b"e\n\n", [(3, 0, 10, 3)])
    assert scheduled.take(25) == (b"e\n\ne\n\n", [(3, 1, 20, 3), (6, 2, 20, 3)])
    assert scheduled.wake_ns == 30


def test_a_late_send_does_not_delay_later_events() -> None:
    scheduled = stream([event(10), event(20), event(30)])
    scheduled.take(29)
    assert scheduled.wake_ns == 30


def test_the_end_is_returned_once_with_the_last_event() -> None:
    scheduled = stream([event(10)], chunked=True)
    data, event_ends = scheduled.take(10)
    assert data == encode_chunk(b"e\n\n") + LAST_CHUNK
    assert event_ends == [(len(encode_chunk(b"e\n\n")), 0, 10, 3)]
    assert (scheduled.state, scheduled.wake_ns) == (StreamState.COMPLETE, None)
    assert scheduled.take(99) == (b"", [])


def test_an_empty_last_event_delays_the_end() -> None:
    scheduled = stream([event(10), DueEvent(50, b"", False)], chunked=True)
    assert scheduled.take(10)[0] == encode_chunk(b"e\n\n")
    assert scheduled.wake_ns == 50
    assert scheduled.take(50) == (LAST_CHUNK, [])


def test_the_result_of_take_is_bounded() -> None:
    scheduled = stream([event(i) for i in range(1000)])
    _, event_ends = scheduled.take(10**9)
    assert 0 < len(event_ends) < 1000
    large = stream([event(i, b"x" * 50_000) for i in range(10)])
    assert len(large.take(99)[0]) <= 150_000


def test_an_early_close_follows_its_event() -> None:
    scheduled = stream([event(10), event(10), event(10)], chunked=True, die_after=2)
    data, event_ends = scheduled.take(10)
    assert data == encode_chunk(b"e\n\n") * 2
    assert len(event_ends) == 2
    assert (scheduled.state, scheduled.wake_ns) == (StreamState.DIED, None)
    assert stream([event(10)], die_after=0).state is StreamState.DIED


def test_opening_events_do_not_count_as_content() -> None:
    opening = DueEvent(10, b"role\n\n", False)
    scheduled = stream([opening, event(10), event(20)], die_after=1)
    assert scheduled.take(10)[0] == b"role\n\ne\n\n"
    assert scheduled.state is StreamState.DIED


def test_heartbeats_are_sent_during_silence_only() -> None:
    scheduled = stream([event(250), event(300)], heartbeat_ns=100)
    assert scheduled.wake_ns == 100
    assert scheduled.take(100) == (HEARTBEAT, [])
    assert scheduled.take(200) == (HEARTBEAT, [])
    assert scheduled.take(250)[0] == b"e\n\n"
    assert scheduled.wake_ns == 300
    assert scheduled.take(300)[0] == b"e\n\n"


def test_missed_heartbeats_are_not_repeated() -> None:
    scheduled = stream([event(10_000)], heartbeat_ns=100, chunked=True)
    assert scheduled.take(950)[0] == encode_chunk(HEARTBEAT)
    assert scheduled.wake_ns == 1050


def test_a_late_head_is_sent_with_the_first_bytes() -> None:
    scheduled = stream([event(10)], head_late=True)
    assert scheduled.take(5) == (b"", [])
    data, event_ends = scheduled.take(10)
    assert data == b"HEADe\n\n"
    assert event_ends == [(7, 0, 10, 3)]
    assert stream([event(500)], head_late=True, heartbeat_ns=5).take(5)[0] == b"HEAD" + HEARTBEAT


def test_a_divided_event_is_one_event_of_the_ground_truth() -> None:
    parts = [DueEvent(8, b"da", False, partial=True), DueEvent(10, b"ta\n\n", True)]
    scheduled = stream([*parts, event(20)])
    assert scheduled.take(8) == (b"da", [])
    assert scheduled.take(10) == (b"ta\n\n", [(4, 0, 10, 6)])
    assert scheduled.take(20) == (b"e\n\n", [(3, 1, 20, 3)])


def test_no_heartbeat_is_sent_between_the_parts_of_an_event() -> None:
    parts = [DueEvent(8, b"da", False, partial=True), DueEvent(1000, b"ta\n\n", True)]
    scheduled = stream([*parts, event(5000)], heartbeat_ns=100)
    assert scheduled.take(8)[0] == b"da"
    assert scheduled.wake_ns == 1000
    assert scheduled.take(500) == (b"", [])
    assert scheduled.take(1000)[0] == b"ta\n\n"
    assert scheduled.take(1200)[0] == HEARTBEAT
