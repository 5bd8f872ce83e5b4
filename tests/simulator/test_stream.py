"""One stream: what is due is given, once, in order; heartbeats only in silence; deaths and ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.simulator.apis.form import DueEvent
from undam.simulator.stream import HEARTBEAT, Script, Stream, StreamState


def stream(events: Iterable[DueEvent], **knobs: Any) -> Stream:
    given: dict[str, Any] = {"chunked": False, "keep_alive": True, **knobs}
    script = Script(
        exchange_id="x", path="/sse", arrived_ns=0, head=b"HEAD", events=iter(list(events)), **given
    )
    return Stream(script, 0)


def event(due_ns: int, data: bytes = b"e\n\n") -> DueEvent:
    return DueEvent(due_ns, data, True)


def test_only_what_is_due_is_given() -> None:
    playing = stream([event(10), event(20), event(20), event(30)])
    assert playing.wake_ns == 10
    assert playing.take(9) == (b"", [])
    assert playing.take(10) == (b"e\n\n", [(3, 0, 10, 3)])
    assert playing.take(25) == (b"e\n\ne\n\n", [(3, 1, 20, 3), (6, 2, 20, 3)])
    assert playing.wake_ns == 30


def test_a_late_turn_puts_nothing_off() -> None:
    playing = stream([event(10), event(20), event(30)])
    playing.take(29)
    assert playing.wake_ns == 30


def test_the_end_comes_with_the_last_event_and_only_once() -> None:
    playing = stream([event(10)], chunked=True)
    data, marks = playing.take(10)
    assert data == encode_chunk(b"e\n\n") + LAST_CHUNK
    assert marks == [(len(encode_chunk(b"e\n\n")), 0, 10, 3)]
    assert (playing.state, playing.wake_ns) == (StreamState.COMPLETE, None)
    assert playing.take(99) == (b"", [])


def test_an_end_without_words_still_has_its_time() -> None:
    playing = stream([event(10), DueEvent(50, b"", False)], chunked=True)
    assert playing.take(10)[0] == encode_chunk(b"e\n\n")
    assert playing.wake_ns == 50
    assert playing.take(50) == (LAST_CHUNK, [])


def test_a_stream_that_is_far_behind_gives_a_bounded_piece() -> None:
    playing = stream([event(i) for i in range(1000)])
    _, marks = playing.take(10**9)
    assert 0 < len(marks) < 1000
    large = stream([event(i, b"x" * 50_000) for i in range(10)])
    assert len(large.take(99)[0]) <= 150_000


def test_a_death_follows_its_event_without_an_end() -> None:
    playing = stream([event(10), event(10), event(10)], chunked=True, die_after=2)
    data, marks = playing.take(10)
    assert data == encode_chunk(b"e\n\n") * 2
    assert len(marks) == 2
    assert (playing.state, playing.wake_ns) == (StreamState.DIED, None)
    assert stream([event(10)], die_after=0).state is StreamState.DIED


def test_opening_events_do_not_count_to_death() -> None:
    opening = DueEvent(10, b"role\n\n", False)
    playing = stream([opening, event(10), event(20)], die_after=1)
    assert playing.take(10)[0] == b"role\n\ne\n\n"
    assert playing.state is StreamState.DIED


def test_heartbeats_come_in_silence_only_and_from_the_first_second() -> None:
    playing = stream([event(250), event(300)], heartbeat_ns=100)
    assert playing.wake_ns == 100
    assert playing.take(100) == (HEARTBEAT, [])
    assert playing.take(200) == (HEARTBEAT, [])
    assert playing.take(250)[0] == b"e\n\n"
    assert playing.wake_ns == 300
    assert playing.take(300)[0] == b"e\n\n"


def test_a_late_heartbeat_is_not_made_up_for() -> None:
    playing = stream([event(10_000)], heartbeat_ns=100, chunked=True)
    assert playing.take(950)[0] == encode_chunk(HEARTBEAT)
    assert playing.wake_ns == 1050


def test_a_late_head_leaves_with_the_first_bytes_whatever_they_are() -> None:
    playing = stream([event(10)], head_late=True)
    assert playing.take(5) == (b"", [])
    data, marks = playing.take(10)
    assert data == b"HEADe\n\n"
    assert marks == [(7, 0, 10, 3)]
    assert stream([event(500)], head_late=True, heartbeat_ns=5).take(5)[0] == b"HEAD" + HEARTBEAT
