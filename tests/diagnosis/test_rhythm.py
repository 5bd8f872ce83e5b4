"""Bursts of whole events, caused by an engine's steps, by a buffering hop, or by both."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from support.synthetic_streams import (
    SSE_HEAD,
    Write,
    answer,
    even_schedule,
    exchange,
    merged,
    over_long_path,
    timed_flush,
)
from undam.diagnosis.bursts import find_bursts
from undam.diagnosis.findings.buffering import find_buffering
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.rhythm import Cause, Rhythm, cause_of, ends_early, ends_late, rhythm_of
from undam.diagnosis.shape import Release
from undam.record import Exchange
from undam.rules import Severity, Verdict

MS = 1_000_000


def _steps(sizes: Sequence[int], step_ms: Sequence[float]) -> Exchange:
    at, due = 300.0, []
    for size, step in zip(sizes, step_ms, strict=True):
        due += [at := at + step] * size
    return exchange(merged(answer(due)))


def _hop(given: Exchange, inner: Hop | None = None) -> Hop:
    return analyze_hop([read_exchange(given)], inner=inner)


def _codes(hop: Hop) -> list[tuple[str, Severity]]:
    return [(one.code, one.severity) for one in find_buffering([hop])]


def _cause(given: Exchange) -> Cause:
    reading = read_exchange(given)
    return cause_of(rhythm_of(reading, find_bursts(reading)))


# Schedules of real engines: llama.cpp decoders with drafts of 16 tokens and with n-gram drafts,
# multi-step scheduling, a diffusion model, and an event loop with a tick of 10 ms.
RNG = random.Random(8)
ENGINES = {
    "drafts of 16": ([RNG.choice((17, 17, 17, 12, 9)) for _ in range(20)], 110, 30),
    "n-gram drafts of 64": ([RNG.randint(1, 65) for _ in range(14)], 130, 20),
    "eight steps at once": ([8] * 19 + [3], 160, 0),
    "a diffusion model": ([16] * 9 + [5], 400, 10),
    "four steps at once, slowly": ([4] * 30 + [1], 100, 0),
    "a tick of 10 ms": ([10] * 40 + [4], 10.4, 0.2),
    "chat drafts of 16": ([RNG.choice((1, 3, 5, 8, 12, 17, 2, 6)) for _ in range(40)], 90, 30),
}


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_steps_of_an_engine_are_streaming_with_their_size_as_info(name: str) -> None:
    sizes, least_ms, more_ms = ENGINES[name]
    rng = random.Random(3)
    hop = _hop(_steps(sizes, [least_ms + rng.random() * more_ms for _ in sizes]))
    assert hop.shape.verdict is Verdict.STREAMING
    assert _codes(hop) == [("UD503", Severity.INFO)]


def test_fixed_steps_that_end_with_a_full_one_are_unknown_with_both_readings() -> None:
    hop = _hop(_steps([8] * 20, [160] * 20))
    assert hop.shape.verdict is Verdict.UNKNOWN
    assert "engine and a hop's timer look alike" in hop.shape.reason
    assert hop.shape.hold is not None
    assert (hop.shape.hold.release, hop.shape.hold.period_ms) == (Release.TIMER, 160)
    assert _codes(hop) == [("UD905", Severity.INFO)]


def test_steps_of_a_fixed_size_at_irregular_times_are_no_buffer() -> None:
    rng = random.Random(5)
    hop = _hop(_steps([12] * 20, [rng.lognormvariate(5, 0.6) for _ in range(20)]))
    assert hop.shape.verdict is Verdict.UNKNOWN
    assert "a buffer of" in hop.shape.reason
    uneven = [12, 20] * 4
    hop = _hop(_steps(uneven, [100 + 10 * n + 150 * (n % 3) for n in range(8)]))
    assert not hop.shape.held


def test_drafts_that_the_engine_reports_are_its_steps() -> None:
    def stream(timings: dict[str, int]) -> Exchange:
        end = json.dumps({"choices": [], "timings": timings}).encode()
        due = [300 + 160.0 * (i // 8) for i in range(160)]
        writes = answer(due)
        finish = Write(due[-1], b"data: %s\n\n" % end + writes[-1].data + b": bye\n\n")
        return exchange(merged([*writes[:-1], finish]))

    drafted = {"predicted_n": 160, "draft_n": 200, "draft_n_accepted": 140}
    assert _hop(stream(drafted)).shape.verdict is Verdict.STREAMING
    # Steps of one or two tokens cannot explain bursts of eight events.
    rejected = {"predicted_n": 160, "draft_n": 200, "draft_n_accepted": 20}
    assert _hop(stream(rejected)).shape.verdict is Verdict.UNKNOWN
    assert _hop(stream({"draft_n_accepted": 0})).shape.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("gap_ms", "events", "from_first_byte"),
    [(9, 195, True), (9, 205, False), (14.5, 205, True), (25, 85, True), (25, 80, False)],
)
def test_timer_is_found_if_the_end_releases_its_last_burst(
    gap_ms: float, events: int, from_first_byte: bool
) -> None:
    due = even_schedule(gap_ms, events)
    hop = _hop(exchange(timed_flush(200, from_first_byte=from_first_byte)(answer(due), due[-1])))
    assert hop.shape.release is Release.TIMER
    assert _codes(hop) == [("UD103", Severity.ERROR)]


def test_counts_of_an_even_source_at_even_times_are_those_of_a_timer() -> None:
    # With 8.8 events per period, a timer's counts alternate between 8 and 9 in a fixed order.
    counts = [int(8.8 * (k + 1)) - int(8.8 * k) for k in range(24)]
    assert _cause(_steps(counts, [220] * 24)) is Cause.HOP
    # In random order, the same counts may come from an engine, or from a timer and an uneven
    # source.
    random.Random(1).shuffle(counts)
    assert _cause(_steps(counts, [220] * 24)) is Cause.OPEN


def _rhythm(**changes: object) -> Rhythm:
    usual: dict[str, object] = {
        "counts": (10,) * 8,
        "steps_ns": (100 * MS,) * 8,
        "last_count": 5,
        "last_ns": 50 * MS,
        "after_ns": 0,
    }
    return Rhythm(**(usual | changes))  # type: ignore[arg-type]


def test_the_end_of_a_response_shows_who_holds() -> None:
    assert ends_early(_rhythm())
    assert not ends_early(_rhythm(after_ns=400 * MS)), "the end came later, so it released nothing"
    assert not ends_early(_rhythm(last_ns=30 * MS, last_count=10)), (
        "too many events for the shorter time"
    )
    assert not ends_early(_rhythm(last_ns=99 * MS))
    assert ends_late(_rhythm(last_ns=100 * MS))
    assert not ends_late(_rhythm(last_ns=100 * MS, last_count=9)), "a timer that fired at the end"
    few = _rhythm(counts=(10,) * 2, steps_ns=(100 * MS,) * 2)
    assert (ends_early(few), ends_late(few), cause_of(few)) == (False, False, Cause.OPEN)
    assert Rhythm((), (), 1, MS, 0).period_ns == 0
    assert Rhythm((), (), 1, MS, 0).dispersion == 0


def test_times_that_vary_on_a_long_path_do_not_speak_for_an_engine() -> None:
    steps = tuple((100 + 6 * (k % 3)) * MS for k in range(12))
    given = _rhythm(counts=(20, 18) * 6, steps_ns=steps, last_ns=100 * MS, last_count=20)
    assert cause_of(given) is Cause.ENGINE
    assert cause_of(given, far=True) is Cause.OPEN


@pytest.mark.seconds
def test_an_inner_hop_decides_on_the_steps_further_out() -> None:
    open_steps = _steps([8] * 20, [160] * 20)
    singly = _hop(exchange(answer(even_schedule(20, 160))))
    assert _hop(open_steps, singly).shape.release is Release.TIMER
    engine = _hop(_steps([8] * 19 + [3], [160] * 20))
    assert _hop(open_steps, engine).shape.verdict is Verdict.STREAMING
    slower = _hop(_steps([8] * 19 + [3], [320] * 20))
    assert _hop(open_steps, slower).shape.verdict is Verdict.UNKNOWN
    # The inner hop sends single events, so the outer hop causes the bursts, although they resemble
    # an engine's steps.
    assert _hop(_steps([8] * 19 + [3], [160] * 20), singly).shape.release is Release.UNCLEAR


def test_steps_are_reported_once_for_the_innermost_hop() -> None:
    engine = _hop(_steps([8] * 19 + [3], [160] * 20))
    found = find_buffering([engine, engine])
    assert [one.code for one in found] == ["UD503"]


def test_bursts_at_the_pace_of_the_source_with_a_beacon_have_no_known_pattern() -> None:
    at, reads, due = 300.0, [], even_schedule(25, 126)
    writes = answer(due)
    for events in (12, 28, 8, 36, 10, 32):
        at += 25 * events
        reads.append(Write(at, b"".join(write.data for write in writes[:events])))
        del writes[:events]
    given = exchange([*reads, Write(at, writes[-1].data)])
    for offset in (None, ClockOffset()):
        shape = analyze_hop([read_exchange(given)], offset=offset).shape
        assert (shape.verdict, shape.release) == (Verdict.BATCHED, Release.UNCLEAR)


def test_network_that_explains_bursts_leaves_no_question() -> None:
    far = over_long_path(_steps([60] * 20, [170] * 20), 180)
    assert _hop(far).shape.hold is None
    assert "round trip" in _hop(far).shape.reason


def test_one_block_of_a_usual_size_is_enough_on_a_long_path() -> None:
    body = b"".join(write.data for write in answer(even_schedule(25, 40)))
    reads = [Write(900, body[:4096]), Write(1500, body[4096:])]
    for path_ms in (0, 60):
        shape = _hop(over_long_path(exchange(reads, head=SSE_HEAD), path_ms)).shape
        assert (shape.verdict, shape.release_bytes) == (Verdict.BATCHED, 4096)
