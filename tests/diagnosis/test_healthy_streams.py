"""Delays caused by a model, a network or this machine are not attributed to a buffering hop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from support.diagnosis_cases import codes, diagnose
from support.synthetic_streams import (
    MS,
    START_NS,
    Write,
    answer,
    block_buffer,
    chat_event,
    delayed,
    even_schedule,
    exchange,
    merged,
    over_long_path,
    segments,
    timed_flush,
)
from undam.diagnosis.findings.buffering import find_buffering
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.record import Exchange, Head
from undam.rules import Severity, Verdict

FINISH = chat_event("", finish=True) + b"data: [DONE]\n\n"


def _hop(given: Exchange, offset: ClockOffset | None = None) -> Hop:
    return analyze_hop([read_exchange(given)], offset=offset)


def _at_once(events: int) -> bytes:
    return b"".join(write.data for write in answer([1] * events))


def _is_accused(hop: Hop) -> bool:
    return any(one.severity is not Severity.INFO for one in find_buffering([hop]))


def _with_pauses(gap_ms: float, pauses: Sequence[int], events: int = 300) -> list[Write]:
    at, due = 300.0, []
    for index in range(events):
        at += gap_ms + (900 if index in pauses else 0)
        due.append(at)
    return answer(due)


def _in_choices(count: int, steps: int) -> list[Write]:
    """Return an answer with ``count`` choices; each step emits one event per choice."""
    step = b"".join(
        chat_event("t").replace(b'"index": 0', b'"index": %d' % index) for index in range(count)
    )
    writes = [Write(300 + 25 * i, step) for i in range(steps)]
    return [*writes, Write(writes[-1].at_ms + 25, FINISH)]


ON_ONE_MACHINE = {
    "three tokens": answer(even_schedule(25, 3)),
    "everything within a millisecond": [
        Write(20 + 0.005 * i, write.data) for i, write in enumerate(answer(even_schedule(1, 50)))
    ],
    "a cached beginning, then paced": merged(
        [*answer([100] * 40)[:-1], *answer(even_schedule(25, 100))]
    ),
    "the last three together": merged([*answer(even_schedule(25, 40))[:-1], *answer([1300.0] * 3)]),
    "a fast model that stops now and then": _with_pauses(0.25, (100, 150, 220, 270)),
    "a fast model that stops once": _with_pauses(0.2, (100,)),
    "one pause between two bursts": merged(answer([300.0] * 30 + [900.0] * 12)),
    "eight choices": _in_choices(8, 40),
    "eight choices of one token": _in_choices(8, 1),
    "20 KB events": segments(answer(even_schedule(200, 30), ["x" * 20_000] * 30), 1448, 0.02),
    "heartbeats in silence": merged(
        sorted(
            [
                *answer(even_schedule(2000, 12)),
                *(Write(500.0 + 700 * i, b": ping\n") for i in range(30)),
            ],
            key=lambda write: write.at_ms,
        )
    ),
    "a stall of the client": [
        Write(1300 if 1000 < write.at_ms < 1300 else write.at_ms, write.data)
        for write in answer(even_schedule(25, 100))
    ],
}


@pytest.mark.parametrize("name", sorted(ON_ONE_MACHINE))
def test_healthy_on_one_machine(name: str) -> None:
    hop = _hop(exchange(merged(ON_ONE_MACHINE[name])))
    assert not _is_accused(hop), hop.shape


FAR_AWAY = {
    "a cached answer in one flight": [Write(85, _at_once(50))],
    "a cached answer in many flights": segments([Write(85, _at_once(600))], 14_480, 80),
    "a cached answer in growing flights": [
        Write(85 + 80 * i, _at_once(1200)[14_480 * (2**i - 1) : 14_480 * (2 ** (i + 1) - 1)])
        for i in range(5)
    ],
    "a burst whose segments come 30 ms apart": segments([Write(400, _at_once(20))], 1448, 30),
    "a burst whose last segment was lost": [
        Write(400, _at_once(20)[:4000]),
        Write(700, _at_once(20)[4000:]),
    ],
    "a speculative decoder in pieces": segments(
        merged(answer([300.0 + 400 * (i // 4) for i in range(80)])), 700, 30
    ),
    "20 KB events in flights": segments(
        answer(even_schedule(200, 30), ["x" * 20_000] * 30), 14_480, 2
    ),
    "a link slower than the model": segments([Write(300, _at_once(300))], 1448, 12),
}  # fmt: skip


@pytest.mark.seconds
@pytest.mark.parametrize("name", sorted(FAR_AWAY))
def test_healthy_on_a_long_path(name: str) -> None:
    hop = _hop(over_long_path(exchange(FAR_AWAY[name]), 80))
    assert not _is_accused(hop), hop.shape
    assert (hop.shape.verdict is Verdict.UNKNOWN) == bool(hop.shape.reason)


@pytest.mark.seconds
@pytest.mark.parametrize("gap_ms", [0.5, 1, 2, 5, 10, 25, 100])
@pytest.mark.parametrize("most_ms", [45, 60, 90])
def test_jitter_below_tcp_is_not_a_buffering_hop(gap_ms: float, most_ms: float) -> None:
    for seed in range(5):
        rng = random.Random(seed)
        reads = delayed(answer(even_schedule(gap_ms, 200)), rng, 40, most_ms)
        assert not _is_accused(_hop(over_long_path(exchange(reads), 80))), seed
        # On one host, the path delay is known to be 40 ms. Between hosts, it is half the round
        # trip.
        for offset in (ClockOffset(0, 0, 40 * MS), ClockOffset(0, 40 * MS, 40 * MS)):
            if most_ms <= 60:
                assert not _is_accused(_hop(over_long_path(exchange(reads), 80), offset)), seed


def _bursts_apart(least_ms: float, most_ms: float, *, paced: bool = True) -> Exchange:
    """Return an exchange with irregularly spaced bursts that contain only whole events.

    Args:
        paced: whether the bursts contain what an even source emitted since the one before.
    """
    rng, at, due = random.Random(3), 300.0, []
    for _ in range(30):
        pause = rng.uniform(least_ms, most_ms)
        at += pause
        events = max(1, round(12 * pause / ((least_ms + most_ms) / 2)))
        due += [at] * (events if paced else rng.randint(6, 18))
    return exchange(merged(answer(due)))


def test_bursts_within_jitter_are_unknown_and_longer_ones_are_reported() -> None:
    assert "jitter" in _hop(_bursts_apart(5, 60)).shape.reason
    assert "jitter" in _hop(over_long_path(_bursts_apart(50, 250), 300)).shape.reason
    assert _hop(_bursts_apart(50, 250)).shape.verdict is Verdict.BATCHED


def test_irregular_steps_that_ignore_the_pace_are_those_of_an_engine() -> None:
    hop = _hop(_bursts_apart(50, 250, paced=False))
    assert hop.shape.verdict is Verdict.STREAMING
    assert [one.code for one in find_buffering([hop])] == ["UD503"]


def test_late_client_does_not_accuse() -> None:
    reads = timed_flush(220)(answer(even_schedule(25, 200)), 5275)
    assert _is_accused(_hop(exchange(reads)))
    late = _hop(exchange(reads, late_ns=150 * MS))
    assert (late.shape.verdict, _is_accused(late)) == (Verdict.UNKNOWN, False)
    singles = _hop(exchange(answer(even_schedule(25, 50)), late_ns=150 * MS))
    assert singles.shape.verdict is Verdict.STREAMING


@pytest.mark.parametrize(("together", "verdict"), [(10, Verdict.STREAMING), (60, Verdict.UNKNOWN)])
def test_a_few_late_reads_leave_the_verdict(together: int, verdict: Verdict) -> None:
    sent = answer(even_schedule(25, 100))
    late = sent[40 : 40 + together]
    reads = [*sent[:40], Write(late[-1].at_ms, b"".join(w.data for w in late))]
    assert (
        _hop(exchange([*reads, *sent[40 + together :]], late_ns=150 * MS)).shape.verdict is verdict
    )


def test_pause_after_the_only_burst_is_unknown() -> None:
    silent = _hop(exchange([Write(900, _at_once(30))], ended_ms=1900))
    assert silent.shape.verdict is Verdict.UNKNOWN
    held = _hop(exchange([Write(900, _at_once(30))], ended_ms=950))
    assert held.shape.verdict is Verdict.HELD_TO_END


def test_very_fast_answer_with_a_wait_is_streaming() -> None:
    reads = [
        Write(300 + 0.2 * i, write.data) for i, write in enumerate(answer(even_schedule(1, 300)))
    ]
    assert _hop(exchange(reads)).shape.verdict is Verdict.STREAMING


def test_comments_alone_and_other_bodies_are_unknown() -> None:
    comments = exchange([Write(100.0 * i, b": ping\n\n") for i in range(30)])
    assert _hop(comments).shape.verdict is Verdict.UNKNOWN
    page = exchange([Write(9, b"<p>")], head=Head(200, "1.1", (("Content-Type", "text/html"),)))
    assert "one document" in _hop(page).shape.reason


def test_anthropic_and_json_lines_are_parsed() -> None:
    event = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"a"}}\n\n'
    )
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    writes = [Write(300 + 25.0 * i, ping if i % 7 == 3 else event) for i in range(60)]
    hop = _hop(exchange([*writes, Write(1800, stop)], api="anthropic-messages"))
    assert hop.shape.verdict is Verdict.STREAMING
    head = Head(200, "1.1", (("Content-Type", "application/x-ndjson"),))
    lines = [Write(300 + 25.0 * i, b'{"response": "a"}\n') for i in range(60)]
    given = exchange([*lines[:-1], Write(1775, b'{"response": "a"}')], head=head, api="plain")
    hop = _hop(given)
    assert (hop.shape.verdict, len(hop.reading.contents)) == (Verdict.STREAMING, 60)
    assert "UD602" not in codes(diagnose(given))


# With a beacon.


@pytest.mark.parametrize("hours", [3, -3])
def test_clocks_that_are_hours_apart(hours: int) -> None:
    apart = hours * 3600 * 10**9
    ours = exchange([Write(w.at_ms + 30, w.data) for w in answer(even_schedule(25, 60))])
    moved = tuple(replace(arrival, at_ns=arrival.at_ns - apart) for arrival in ours.arrivals)
    stamps = replace(ours.stamps, start_ns=START_NS - apart, sent_ns=START_NS - apart)
    theirs = replace(ours, arrivals=moved, ended_ns=ours.ended_ns - apart, stamps=stamps)
    told = _hop(theirs, ClockOffset(apart, 5 * MS, 30 * MS))
    assert told.shape.verdict is Verdict.STREAMING
    if hours < 0:
        return  # A clock that is one hour off looks like a hold of one hour.
    wrong = _hop(theirs, ClockOffset())
    assert (wrong.shape.verdict, _is_accused(wrong)) == (Verdict.UNKNOWN, False)


def test_known_path_delay_is_not_a_hold() -> None:
    reads = [Write(write.at_ms + 60, write.data) for write in answer(even_schedule(25, 60))]
    assert _hop(exchange(reads), ClockOffset(0, 0, 60 * MS)).shape.verdict is Verdict.STREAMING
    assert _hop(exchange(reads), ClockOffset()).shape.held


def test_clock_step_is_unknown() -> None:
    reads = [Write(write.at_ms + 500, write.data) for write in answer(even_schedule(25, 60))]
    hop = _hop(exchange(reads, step_ns=500 * MS), ClockOffset())
    assert (hop.shape.verdict, "clock was set" in hop.shape.reason) == (Verdict.UNKNOWN, True)


def test_one_pause_of_a_machine_is_not_a_hold() -> None:
    reads = [
        Write(600 if 500 < w.at_ms < 600 else w.at_ms, w.data)
        for w in answer(even_schedule(5, 120))
    ]
    assert _hop(exchange(reads), ClockOffset()).shape.verdict is Verdict.STREAMING
    brief = [Write(400, write.data) for write in answer(even_schedule(3, 30))]
    hop = _hop(exchange(brief), ClockOffset())
    assert (hop.shape.verdict, _is_accused(hop)) == (Verdict.UNKNOWN, False)


def test_late_events_without_a_rule_are_unknown() -> None:
    rng = random.Random(5)
    reads = delayed(answer(even_schedule(60, 80)), rng, 0, 40)
    hop = _hop(exchange(reads), ClockOffset())
    assert (hop.shape.verdict, "without a rule" in hop.shape.reason) == (Verdict.UNKNOWN, True)


def test_far_end_without_due_times_is_unknown() -> None:
    hop = _hop(exchange(answer(even_schedule(25, 60), stamped=False)), ClockOffset())
    assert "is the far end a beacon" in hop.shape.reason


def test_block_on_a_long_path_needs_a_longer_answer() -> None:
    due = even_schedule(25, 31)
    reads = merged(block_buffer(4096, first=3800)(answer(due), due[-1]))
    assert _hop(exchange(reads)).shape.release_bytes == 3800
    assert "longer answer" in _hop(over_long_path(exchange(reads), 60)).shape.reason


@pytest.mark.parametrize("most_ms", [5, 30])
def test_busy_machine_is_not_accused_with_a_beacon(most_ms: float) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        gap_ms = rng.choice((1.5, 4, 25, 120))
        steps = rng.choice((1, 3, 5))
        due = [300 + gap_ms * steps * (i // steps) for i in range(rng.randint(20, 200))]
        reads = delayed(merged(answer(due)), rng, 0, most_ms)
        assert not _is_accused(_hop(exchange(reads), ClockOffset())), (seed, gap_ms, steps)
