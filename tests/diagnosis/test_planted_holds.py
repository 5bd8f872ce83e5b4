"""Holds with the timing patterns of real proxies are detected and classified correctly."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from support.synthetic_streams import (
    MS,
    SSE_HEAD,
    START_NS,
    Write,
    answer,
    block_buffer,
    chat_event,
    even_schedule,
    exchange,
    hold_to_end,
    merged,
    one_write_behind,
    over_long_path,
    timed_flush,
)
from undam.diagnosis.findings.buffering import find_buffering
from undam.diagnosis.findings.network import round_trip_ns
from undam.diagnosis.holds import ClockOffset, holds_by_beacon, is_one_late, offset_from
from undam.diagnosis.hop import Hop, analyze_hop, hop_metrics
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.shape import Release
from undam.record import Ending, Exchange
from undam.rules import Verdict

BEACON = ClockOffset()


def _hop(given: Exchange, offset: ClockOffset | None = None) -> Hop:
    return analyze_hop([read_exchange(given)], offset=offset)


@pytest.mark.parametrize(
    ("gap_ms", "by_pattern", "by_beacon"),
    [
        (25, Verdict.BATCHED, Verdict.BATCHED),
        (
            100,
            Verdict.UNKNOWN,
            Verdict.BATCHED,
        ),  # Three events at a time, which a speculative decoder could also emit.
        (
            300,
            Verdict.STREAMING,
            Verdict.BATCHED,
        ),  # One event at a time, so the hold is visible only with due times.
    ],
)
def test_a_timer_of_200_ms_from_the_first_byte(
    gap_ms: float, by_pattern: Verdict, by_beacon: Verdict
) -> None:
    due = even_schedule(gap_ms, 120)
    given = exchange(timed_flush(200, from_first_byte=True)(answer(due), due[-1]))
    assert _hop(given).shape.verdict is by_pattern
    exact = _hop(given, BEACON).shape
    assert (exact.verdict, exact.release) == (by_beacon, Release.TIMER)
    assert exact.period_ms == pytest.approx(225 if gap_ms == 25 else 200, rel=0.02)


@pytest.mark.parametrize("gap_ms", [25, 300])
def test_one_event_late(gap_ms: float) -> None:
    due = even_schedule(gap_ms, 60)
    given = exchange(one_write_behind()(answer(due), due[-1]))
    assert _hop(given, BEACON).shape.verdict is Verdict.LATE
    assert _hop(given).shape.verdict is Verdict.STREAMING


def test_four_steps_are_needed_for_late() -> None:
    due = even_schedule(50, 4)
    given = read_exchange(exchange(one_write_behind()(answer(due), due[-1])))
    assert not is_one_late(holds_by_beacon(given, BEACON))


@pytest.mark.parametrize("events_per_block", [2, 17, 60])
def test_blocks_of_one_size_are_measured(events_per_block: int) -> None:
    due = even_schedule(20, 400)
    size = len(chat_event(" tok", seq=100, due_ms=5000)) * events_per_block + 3
    given = exchange(block_buffer(size, first=size - 200)(answer(due), due[-1]))
    for shape in (_hop(given).shape, _hop(given, BEACON).shape):
        assert (shape.verdict, shape.release, shape.release_bytes) == (
            Verdict.BATCHED, Release.SIZE, size,
        )  # fmt: skip


def test_blocks_smaller_than_two_events_are_recognised_by_size() -> None:
    due = even_schedule(40, 200)
    given = exchange(block_buffer(300)(answer(due), due[-1]))
    assert _hop(given).shape.release_bytes == 300


def test_irregular_cuts_are_a_hold_without_a_size() -> None:
    writes = answer(even_schedule(20, 300))
    body = b"".join(write.data for write in writes)
    rng, reads, start, at = random.Random(1), [], 0, 600.0
    while start < len(body):
        size = rng.randint(3000, 7000)
        reads.append(Write(at, body[start : start + size]))
        start, at = start + size, at + rng.uniform(200, 900)
    shape = _hop(exchange(reads)).shape
    assert (shape.verdict, shape.release) == (Verdict.BATCHED, Release.UNCLEAR)


def test_a_compressor_without_flush() -> None:
    head = replace(SSE_HEAD, headers=(*SSE_HEAD.headers, ("Content-Encoding", "gzip")))
    due = even_schedule(5, 700)
    given = exchange(block_buffer(66_001)(answer(due), due[-1]), head=head, coded=True)
    shape = _hop(given).shape
    assert (shape.verdict, shape.release_bytes) == (Verdict.BATCHED, 66_001 // 4)
    identity = replace(SSE_HEAD, headers=(*SSE_HEAD.headers, ("Content-Encoding", "identity")))
    plain = exchange(block_buffer(66_001)(answer(due), due[-1]), head=identity)
    assert _hop(plain).shape.release_bytes == 66_001


def test_a_buffer_that_flushes_whole_events_at_a_size() -> None:
    rng, out, held = random.Random(2), [], b""
    texts = [rng.choice((" a", " of", " token", " dam")) for _ in range(300)]
    for write in answer(even_schedule(20, 300), texts):
        held += write.data
        if len(held) >= 2240:
            out.append(Write(write.at_ms + rng.uniform(0, 3), held))
            held = b""
    at = [300.0]
    for _ in out:
        at.append(at[-1] + (100 if len(at) % 2 else 400))
    reads = [Write(when, read.data) for when, read in zip(at, out, strict=False)]
    shape = _hop(exchange(reads)).shape
    assert shape.release is Release.SIZE
    assert shape.release_bytes is not None
    assert 2240 <= shape.release_bytes < 2240 + 300


def test_full_segments_are_reported_nearby_and_unknown_on_a_long_path() -> None:
    due = even_schedule(20, 300)
    given = exchange(block_buffer(1448)(answer(due), due[-1]))
    assert _hop(given).shape.release_bytes == 1448
    assert "segments" in _hop(over_long_path(given, 20)).shape.reason


def test_short_timer_with_a_beacon_is_a_hold_without_a_pattern() -> None:
    rng, at, due, reads = random.Random(4), 300.0, [], []
    writes = answer(even_schedule(20, 150))
    for start in range(0, 150, 3):
        at = 300 + 20.0 * start + 40 + rng.uniform(0, 45)
        reads.append(Write(at, b"".join(write.data for write in writes[start : start + 3])))
        due.append(at)
    shape = _hop(exchange([*reads, Write(due[-1], writes[-1].data)]), BEACON).shape
    assert shape.verdict is Verdict.BATCHED


def _in_bursts(due: list[float], ends_ms: list[float]) -> Exchange:
    """Return an answer in bursts: each event is sent at the next of ``ends_ms`` after it is due."""
    writes = answer(due)
    reads = [
        Write(end, b"".join(write.data for write in writes if start < write.at_ms <= end))
        for start, end in pairwise([0.0, *ends_ms])
    ]
    return exchange(reads)


def test_few_bursts_of_equal_size_at_equal_times_are_not_called_blocks() -> None:
    """With a timer and a steady source, as with HAProxy, only the first burst is shorter."""
    due = even_schedule(5, 200, first_ms=50)
    shape = _hop(_in_bursts(due, [205.0, 415.0, 625.0, 835.0, 1045.0]), BEACON).shape
    assert (shape.verdict, shape.release) == (Verdict.BATCHED, Release.UNCLEAR)


def test_few_bursts_of_equal_size_at_different_times_are_blocks() -> None:
    due = [50.0]
    for number in range(1, 200):
        due.append(due[-1] + (3.0 if number // 40 % 2 else 8.0))
    ends = [due[number] for number in (29, 69, 109, 149, 199)]
    shape = _hop(_in_bursts(due, ends), BEACON).shape
    assert (shape.verdict, shape.release) == (Verdict.BATCHED, Release.SIZE)


def test_hold_to_the_end_with_a_beacon() -> None:
    given = exchange(hold_to_end()(answer(even_schedule(25, 60)), 1775))
    assert _hop(given, BEACON).shape.verdict is Verdict.HELD_TO_END
    # The last bytes arrived long before the end, so the hop did not hold them until the end.
    silent = exchange(hold_to_end()(answer(even_schedule(25, 60)), 1775), ended_ms=9000)
    assert _hop(silent, BEACON).shape.verdict is not Verdict.HELD_TO_END


def test_the_offset_of_a_beacon() -> None:
    near = offset_from(0, 10, 30, 35, same_host=True)
    assert (near.offset_ns, near.uncertainty_ns, near.path_ns) == (0, 0, 5)
    assert offset_from(0, 10, 30, 20, same_host=True).path_ns == 0
    off = offset_from(100, 1060, 1070, 190, same_host=False)
    assert (off.offset_ns, off.uncertainty_ns, off.path_ns) == (920, 40, 40)
    assert offset_from(0, 0, 100, 50, same_host=False).uncertainty_ns == 0


def test_the_round_trip_is_the_handshake() -> None:
    given = exchange(answer(even_schedule(25, 8)))
    assert round_trip_ns(over_long_path(given, 80)) == 80 * MS
    unknown = replace(given, stamps=replace(given.stamps, connect_ns=None))
    assert round_trip_ns(unknown) == 0
    # The host is an IP address, so there is no DNS lookup and the handshake begins at the start.
    literal = replace(given, stamps=replace(given.stamps, dns_ns=None, start_ns=START_NS - 3 * MS))
    assert round_trip_ns(literal) == 3 * MS - MS // 2


def test_metrics_of_a_hop() -> None:
    due = even_schedule(25, 40)
    hop = _hop(exchange(merged(timed_flush(200)(answer(due), due[-1]))), BEACON)
    shown = hop_metrics(hop)
    assert shown["verdict"] == "batched"
    assert shown["hold_is_exact"] is True
    hold = shown["hold_ms"]
    assert isinstance(hold, dict)
    assert 0 <= hold["p50"] <= hold["p99"] <= hold["max"] <= 200
    assert (shown["events"], shown["complete"], shown["cut_after_s"]) == (40, True, None)
    assert shown["events_per_read"] == {"p50": 8, "max": 8}
    assert shown["tls_days_left"] is None


def test_the_days_until_the_certificate_expires_count_from_the_request() -> None:
    given = exchange(answer(even_schedule(25, 40)))
    expires_s = given.stamps.start_ns // 10**9 + 10 * 86_400
    shown = hop_metrics(_hop(replace(given, tls_expires_s=expires_s)))
    assert shown["tls_days_left"] == pytest.approx(10, abs=0.01)


def test_metrics_of_a_stream_that_never_began() -> None:
    given = exchange([], head=None, ending=Ending.RESET, ended_ms=1500)
    shown = hop_metrics(_hop(replace(given, stamps=replace(given.stamps, sent_ns=None))))
    assert (shown["ttft_ms"], shown["hold_ms"], shown["headers_ms"]) == (None, None, None)
    assert (shown["complete"], shown["cut_after_s"], shown["status"]) == (False, 1.501, None)
    assert shown["events_per_read"] == {"p50": 0, "max": 0}


@pytest.mark.parametrize(
    ("api", "ending", "complete"),
    [
        ("plain", Ending.COMPLETE, True),
        ("plain", Ending.CLOSED, None),
        ("plain", Ending.TIMEOUT, None),
        ("plain", Ending.RESET, False),
        ("openai-chat", Ending.CLOSED, False),
    ],
)
def test_completeness_of_an_answer(api: str, ending: Ending, complete: bool | None) -> None:
    given = exchange([Write(300, b"data: {}\n\n")], api=api, ending=ending)
    assert hop_metrics(_hop(given))["complete"] is complete


def test_timer_with_single_events_mentions_one_at_a_time() -> None:
    due = even_schedule(300, 40)
    hop = _hop(exchange(timed_flush(200, from_first_byte=True)(answer(due), due[-1])), BEACON)
    (found,) = find_buffering([hop])
    assert (found.code, found.evidence["events_per_burst"]) == ("UD103", "1")
