"""Additional streams through a hop settle a verdict that the first stream leaves open."""

from __future__ import annotations

import pytest

from support.synthetic_streams import (
    Write,
    answer,
    even_schedule,
    exchange,
    hold_to_end,
    merged,
    timed_flush,
)
from undam.diagnosis.experiments import (
    Experiment,
    compare_coding,
    compare_length,
    compare_prompts,
    compare_streams,
    with_experiments,
    with_reading,
)
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import Reading, read_exchange
from undam.diagnosis.rhythm import Cause
from undam.diagnosis.shape import Release
from undam.record import Head
from undam.rules import Verdict


def _steps(
    size: int, step_ms: float, steps: int, *, first_ms: float = 300, last: int = 0
) -> Reading:
    due = [first_ms + step_ms * (i // size) for i in range(size * steps)]
    due += [first_ms + step_ms * steps] * last
    return read_exchange(exchange(merged(answer(due))))


def _timer(tokens: int, *, first_ms: float = 300) -> Reading:
    due = even_schedule(20, tokens, first_ms=first_ms)
    return read_exchange(exchange(timed_flush(150, from_first_byte=True)(answer(due), due[-1])))


OPEN = analyze_hop([_steps(8, 160, 20)])
SINGLES = read_exchange(exchange(answer(even_schedule(20, 160))))


def _settled(*results: Experiment) -> Hop:
    return with_experiments(OPEN, results)


def test_bursts_of_two_streams_that_coincide_are_the_steps_of_one_engine() -> None:
    # The second stream joins the engine's batch two steps after the first stream.
    result = compare_streams("edge", _steps(8, 160, 20), _steps(8, 160, 12, first_ms=620))
    assert (result.cause, "together" in result.result) == (Cause.ENGINE, True)
    settled = _settled(result)
    assert settled.shape.verdict is Verdict.STREAMING
    assert settled.shape.evidence["whole_steps"]


def test_streams_out_of_phase_prove_nothing_by_themselves() -> None:
    # Two engines behind a load balancer produce the same pattern as one timer per connection.
    result = compare_streams("edge", _steps(8, 160, 20), _steps(8, 160, 12, first_ms=684))
    assert (result.cause, "did not arrive together" in result.result) == (Cause.OPEN, True)
    assert _settled(result) == OPEN


def test_streams_out_of_phase_are_decided_by_their_ends() -> None:
    timer = compare_streams("edge", _timer(161), _timer(52, first_ms=364))
    assert (timer.cause, "early" in timer.result) == (Cause.HOP, True)
    assert _settled(timer).shape.release is Release.TIMER
    engine = compare_streams("edge", _steps(8, 160, 20), _steps(8, 160, 6, first_ms=364, last=3))
    assert (engine.cause, "as long as the others" in engine.result) == (Cause.ENGINE, True)


@pytest.mark.parametrize("second", [_steps(8, 160, 3), _steps(8, 160, 20, first_ms=9000)])
def test_streams_that_hardly_overlap_prove_nothing(second: Reading) -> None:
    result = compare_streams("edge", _steps(8, 160, 20), second)
    assert (result.cause, "did not overlap" in result.result) == (Cause.OPEN, True)


def test_a_stream_without_content_proves_nothing() -> None:
    empty = read_exchange(exchange([Write(9, b": ping\n\n")]))
    assert compare_streams("edge", _steps(8, 160, 20), empty).cause is Cause.OPEN
    assert "no result" in compare_prompts("edge", OPEN.shape, empty).result


def test_bursts_that_shrink_with_an_unpredictable_prompt_are_those_of_an_engine() -> None:
    shrunk = compare_prompts("edge", OPEN.shape, _steps(2, 160, 30))
    assert (shrunk.cause, "shrank from 8 to 2" in shrunk.result) == (Cause.ENGINE, True)
    kept = compare_prompts("edge", OPEN.shape, _steps(8, 160, 20))
    assert (kept.cause, "kept their size" in kept.result) == (Cause.OPEN, True)


def test_a_stream_that_flows_without_compression_is_held_by_the_compressor() -> None:
    flows = compare_coding("edge", "gzip", SINGLES)
    assert (flows.cause, "the compressor holds it" in flows.result) == (Cause.HOP, True)
    assert compare_coding("edge", "gzip", _steps(8, 160, 19, last=3)).cause is Cause.OPEN
    end = hold_to_end()(answer(even_schedule(25, 60)), 1775)
    assert flows.streams is True
    held = compare_coding("edge", "br", read_exchange(exchange(end)))
    assert held.streams is False
    coded = Head(200, "1.1", (("Content-Encoding", "gzip"),))
    ignored = compare_coding("edge", "gzip", read_exchange(exchange(end, head=coded)))
    assert (ignored.streams, "compressed all the same" in ignored.result) == (None, True)
    assert "held without br, too: held-to-end" in held.result
    assert "no result" in compare_coding("edge", "br", _steps(8, 160, 20)).result


def test_a_longer_answer_replaces_a_short_one() -> None:
    short = analyze_hop([read_exchange(exchange(answer(even_schedule(25, 5))))])
    assert short.shape.is_short
    assert compare_length("edge", SINGLES).result == "160 events, and the verdict streaming"
    longer = with_reading(short, SINGLES)
    assert (longer.shape.verdict, longer.reading) == (Verdict.STREAMING, SINGLES)
    again = short.reading
    assert "no result" in compare_length("edge", again).result
    assert with_reading(short, again) == short
    assert with_reading(short, OPEN.reading).shape.hold is not None


def test_experiments_that_contradict_each_other_or_belong_elsewhere_change_nothing() -> None:
    engine = Experiment("a", "edge", "", Cause.ENGINE)
    hop = Experiment("b", "edge", "", Cause.HOP)
    assert _settled(engine, hop) == OPEN
    assert _settled(Experiment("a", "model", "", Cause.HOP)) == OPEN
    held = _settled(hop)
    assert with_experiments(held, [engine]) == held
    assert held.shape.period_ms == pytest.approx(160)
