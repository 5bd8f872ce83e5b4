"""Verdicts on simulated schedules: no false alarms, and every buffering hop is detected."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from support.synthetic_streams import (
    HopModel,
    Write,
    answer,
    block_buffer,
    exchange,
    hold_to_end,
    jittered,
    merged,
    one_write_behind,
    pass_through,
    timed_flush,
)
from undam.diagnosis.experiments import compare_streams, with_experiments
from undam.diagnosis.findings.buffering import find_buffering
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.shape import Release, median_events
from undam.record import Exchange
from undam.rules import Severity, Verdict

pytestmark = pytest.mark.slow

WORDS = (" a", " of", " the", " stream", " token", " buffer", " waterfall", " un", "dam", ".", " 7")


def _even(rng: random.Random, n: int) -> list[float]:
    gap = rng.uniform(5, 60)
    return [gap] * n


def _jittery(rng: random.Random, n: int) -> list[float]:
    gap = rng.uniform(8, 50)
    return [gap * rng.uniform(0.4, 1.6) for _ in range(n)]


def _lognormal(rng: random.Random, n: int) -> list[float]:
    sigma = rng.uniform(0.2, 1.0)
    return [20 * rng.lognormvariate(0, sigma) for _ in range(n)]


def _exponential(rng: random.Random, n: int) -> list[float]:
    mean = rng.uniform(10, 60)
    return [rng.expovariate(1 / mean) for _ in range(n)]


def _pausing(rng: random.Random, n: int) -> list[float]:
    gap = rng.uniform(10, 40)
    return [gap + (rng.uniform(500, 5000) if rng.random() < 0.05 else 0) for _ in range(n)]


def _slow(rng: random.Random, n: int) -> list[float]:
    gap = rng.uniform(150, 900)
    return [gap * rng.uniform(0.8, 1.2) for _ in range(n)]


def _fast(rng: random.Random, n: int) -> list[float]:
    gap = rng.uniform(1, 4)
    return [gap * rng.uniform(0.7, 1.3) for _ in range(n)]


def _speculative(rng: random.Random, n: int) -> list[float]:
    step, wobble = rng.uniform(20, 120), rng.choice((0.0, 0.1, 0.3))
    gaps: list[float] = []
    while len(gaps) < n:
        tokens = rng.randint(1, 5)
        gaps += [step * rng.uniform(1 - wobble, 1 + wobble)] + [0.0] * (tokens - 1)
    return gaps[:n]


CLEAN: Sequence[Callable[[random.Random, int], list[float]]] = (
    _even, _jittery, _lognormal, _exponential, _pausing, _slow, _fast, _speculative,
)  # fmt: skip
PACED = (_even, _jittery, _lognormal, _exponential)


def _due(rng: random.Random, gaps: Sequence[float]) -> list[float]:
    at = rng.uniform(50, 1500)
    due = [at]
    for gap in gaps[1:]:
        at += gap
        due.append(at)
    return due


def _analyze_through(model: HopModel, rng: random.Random, due: Sequence[float]) -> Hop:
    writes = answer(due, [rng.choice(WORDS) for _ in due])
    reads = jittered(model(writes, due[-1]), rng, most_ms=0.3)
    return analyze_hop([read_exchange(exchange(reads))])


def _with_beacon(hop: Hop) -> Hop:
    return analyze_hop(hop.readings, offset=ClockOffset())


def _is_flagged(hop: Hop) -> bool:
    return any(found.severity is not Severity.INFO for found in find_buffering([hop]))


def _steps_of_engine(rng: random.Random) -> tuple[Callable[[], int], list[float]]:
    """Return a function that draws the number of tokens per step, and the step times of a batch."""
    most = rng.randint(2, 64)
    size = rng.choice(
        (
            lambda: most,
            lambda: rng.randint(1, most),
            lambda: rng.randint(max(1, most // 2), most),
            lambda: rng.choice((most, most, most, rng.randint(1, most))),
        )
    )
    step_ms, wobble = math.exp(rng.uniform(math.log(2), math.log(400))), rng.choice((0, 0.02, 0.2))
    at, steps = rng.uniform(50, 1500), []
    for _ in range(600):
        steps.append(at)
        at += step_ms * rng.uniform(1 - wobble, 1 + wobble)
    return size, steps


def _answer_in_steps(
    size: Callable[[], int], steps: Sequence[float], tokens: int, *, alone: bool
) -> list[float]:
    """Return the due times of an answer. If ``alone``, prefill emits the first token separately."""
    due: list[float] = [steps[0]] if alone else []
    for at in steps[alone:]:
        due += [at] * min(size(), tokens - len(due))
    return due


def _settled(hop: Hop, first: Exchange, second: Exchange) -> Hop:
    """Return the hop after a two-stream experiment, if the first stream leaves the cause open.

    Args:
        second: the stream that started later and ends in the middle of a burst.
    """
    if hop.shape.hold is None:
        return hop
    result = compare_streams(hop.name, read_exchange(first), read_exchange(second))
    return with_experiments(hop, [result])


def _later(offset_ms: float, writes: Sequence[Write]) -> list[Write]:
    return [Write(write.at_ms + offset_ms, write.data) for write in writes]


def _cut_tokens(hop: Hop) -> int:
    typical = median_events(hop.shape)
    return round(6.5 * typical) if isinstance(typical, int | float) else 0


def test_240_unbuffered_schedules_have_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    flagged: list[tuple[int, str, str]] = []
    verdicts: Counter[str] = Counter()
    for seed in range(240):
        rng = random.Random(seed)
        gaps_of = CLEAN[seed % len(CLEAN)]
        due = _due(rng, gaps_of(rng, rng.randint(20, 400)))
        hop = _analyze_through(pass_through(), rng, due)
        exact = _with_beacon(hop)
        verdicts[hop.shape.verdict.value] += 1
        for analyzed, how in ((hop, "pattern"), (exact, "beacon")):
            if _is_flagged(analyzed):
                flagged.append((seed, gaps_of.__name__, how))
        assert exact.shape.verdict is Verdict.STREAMING, (seed, gaps_of.__name__)
    with capsys.disabled():
        print(
            f"\n240 unbuffered schedules: {len(flagged)} flagged; by pattern alone {dict(verdicts)}"
        )
    assert flagged == []
    assert verdicts["unknown"] <= 0.05 * 240


def test_60_engines_that_emit_steps_have_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    flagged: list[int] = []
    by_pattern: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    for seed in range(60):
        rng = random.Random(5000 + seed)
        size, steps = _steps_of_engine(rng)
        alone = rng.random() < 0.5
        due = _answer_in_steps(size, steps, rng.randint(200, 400), alone=alone)
        hop = _analyze_through(pass_through(), rng, due)
        by_pattern[hop.shape.verdict.value] += 1
        period_ms = hop.shape.evidence.get("every_ms", 0.0)
        assert isinstance(period_ms, float)
        # The second stream joins the same batch at a later step.
        joined = [at for at in steps if at >= steps[0] + 0.4 * period_ms]
        cut = _answer_in_steps(size, joined, _cut_tokens(hop), alone=alone)
        settled = _settled(hop, exchange(merged(answer(due))), exchange(merged(answer(cut))))
        verdicts[settled.shape.verdict.value] += 1
        exact = _with_beacon(hop)
        assert exact.shape.verdict is Verdict.STREAMING, seed
        flagged += [seed for one in (hop, settled, exact) if _is_flagged(one)]
    with capsys.disabled():
        print(
            f"\n60 engines that emit steps: {len(flagged)} flagged; by pattern alone "
            f"{dict(by_pattern)}, with two streams {dict(verdicts)}"
        )
    assert flagged == []
    assert verdicts["unknown"] <= 0.05 * 60


def _block(rng: random.Random, due: Sequence[float]) -> HopModel:
    size = rng.choice((512, 1024, 2048, 4096, 8192, rng.randint(600, 9000)))
    return block_buffer(size, first=rng.choice((None, size - rng.randint(100, 400))))


def _timer(rng: random.Random, due: Sequence[float]) -> HopModel:
    # Shorter timers release fewer than six events at a time, as speculative decoders do. They are
    # detected only with a beacon (see test_short_timer_is_found_by_beacon_only).
    gap = (due[-1] - due[0]) / (len(due) - 1)
    return timed_flush(gap * rng.uniform(8, 20), from_first_byte=rng.random() < 0.5)


def _end(rng: random.Random, due: Sequence[float]) -> HopModel:
    return hold_to_end()


@pytest.mark.parametrize(
    ("simulated", "verdict"), [(_block, Verdict.BATCHED), (_end, Verdict.HELD_TO_END)]
)
def test_50_buffering_hops_are_found_by_pattern_and_by_beacon(
    simulated: Callable[[random.Random, Sequence[float]], HopModel],
    verdict: Verdict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    missed: list[tuple[int, str, str]] = []
    for seed in range(50):
        rng = random.Random(1000 + seed)
        gaps_of = PACED[seed % len(PACED)]
        due = _due(rng, gaps_of(rng, rng.randint(200, 400)))
        hop = _analyze_through(simulated(rng, due), rng, due)
        if hop.shape.verdict is not verdict or not _is_flagged(hop):
            missed.append((seed, gaps_of.__name__, f"pattern: {hop.shape}"))
        exact = _with_beacon(hop)
        if exact.shape.verdict is not verdict or not _is_flagged(exact):
            missed.append((seed, gaps_of.__name__, f"beacon: {exact.shape}"))
    with capsys.disabled():
        print(f"\n50 hops with buffer '{simulated.__name__.strip('_')}': {50 - len(missed)} found")
    assert missed == []


def test_50_timers_are_found_by_pattern_or_two_streams_and_by_beacon(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_pattern: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    missed: list[tuple[int, str, str]] = []
    for seed in range(50):
        rng = random.Random(1000 + seed)
        gaps_of = PACED[seed % len(PACED)]
        tokens = rng.randint(200, 400)
        source = gaps_of(rng, 3 * tokens)
        due = _due(rng, source[:tokens])
        model = _timer(rng, due)
        hop = _analyze_through(model, rng, due)
        by_pattern[hop.shape.verdict.value] += 1
        period_ms = hop.shape.evidence["every_ms"]
        assert isinstance(period_ms, float)
        again = _due(rng, source[tokens : 2 * tokens])
        cut = _due(rng, source[2 * tokens :][: _cut_tokens(hop)])
        settled = _settled(
            hop,
            exchange(model(answer(again), again[-1])),
            exchange(_later(0.4 * period_ms, model(answer(cut), cut[-1]))),
        )
        verdicts[settled.shape.verdict.value] += 1
        named = settled.shape.verdict is Verdict.UNKNOWN and settled.shape.hold is not None
        if settled.shape.release is not Release.TIMER and not named:
            missed.append((seed, gaps_of.__name__, f"pattern: {settled.shape}"))
        exact = _with_beacon(hop)
        if exact.shape.verdict is not Verdict.BATCHED or not _is_flagged(exact):
            missed.append((seed, gaps_of.__name__, f"beacon: {exact.shape}"))
    with capsys.disabled():
        print(
            f"\n50 hops with a timer: by pattern alone {dict(by_pattern)}, with two streams "
            f"{dict(verdicts)}"
        )
    assert missed == []
    assert verdicts["batched"] >= 40


def test_50_hops_one_event_late_are_found_by_beacon_and_by_inner_hop(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missed: list[tuple[int, str, str]] = []
    for seed in range(50):
        rng = random.Random(2000 + seed)
        gaps_of = (_even, _jittery, _lognormal, _slow)[seed % 4]
        # Below about 15 ms per token, a delay of one event cannot be distinguished from machine
        # noise.
        gaps = [max(gap, 15.0) for gap in gaps_of(rng, rng.randint(30, 300))]
        due = _due(rng, gaps)
        outer = _analyze_through(one_write_behind(), rng, due)
        inner = _analyze_through(pass_through(), rng, due)
        for analyzed, how in (
            (_with_beacon(outer), "beacon"),
            (analyze_hop(outer.readings, inner=inner), "inner hop"),
        ):
            if analyzed.shape.verdict is not Verdict.LATE or not _is_flagged(analyzed):
                missed.append((seed, gaps_of.__name__, f"{how}: {analyzed.shape}"))
    with capsys.disabled():
        print(f"\n50 hops one event late: {50 - len(missed)} found")
    assert missed == []


def test_short_timer_is_found_by_beacon_only() -> None:
    for seed in range(50):
        rng = random.Random(3000 + seed)
        gap = rng.uniform(20, 40)
        due = _due(rng, [gap] * 150)
        hop = _analyze_through(timed_flush(gap * rng.uniform(2.2, 4.8)), rng, due)
        assert not _is_flagged(hop), seed
        assert _with_beacon(hop).shape.verdict is Verdict.BATCHED, seed
