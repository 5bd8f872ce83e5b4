"""In a path with several hops, only the buffering hops are reported, whatever their position."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from support.diagnosis_cases import analyze_hops
from support.synthetic_streams import (
    HopModel,
    answer,
    block_buffer,
    delayed,
    even_schedule,
    exchange,
    hold_to_end,
    one_write_behind,
    over_long_path,
    pass_through,
    timed_flush,
)
from undam.diagnosis.findings.buffering import begins_at, find_buffering
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.record import Exchange
from undam.rules import Severity, Verdict

NAMES = ("edge", "mid", "model")
VARIED = [300 + 25 * i + 9 * (i * 7 % 5) for i in range(160)]


def _path(*dams: HopModel, due: Sequence[float] = VARIED) -> list[Exchange]:
    """Return the exchanges at each hop, outermost first. Each hop gets the next hop's output."""
    seen: list[Exchange] = []
    writes = answer(due)
    for name, dam in zip(reversed(NAMES), reversed(dams), strict=True):
        writes = dam(writes, writes[-1].at_ms)
        seen.insert(0, exchange(writes, hop=name))
    return seen


def _named(hops: list[Hop]) -> list[tuple[str, str]]:
    """Return (hop, code) for each finding about buffering."""
    return [
        (one.hop, one.code) for one in find_buffering(hops) if one.severity is not Severity.INFO
    ]


@pytest.mark.seconds
@pytest.mark.parametrize("guilty", range(3))
@pytest.mark.parametrize(
    ("dam", "code"),
    [
        (block_buffer(4096), "UD102"),
        (timed_flush(300, from_first_byte=True), "UD103"),
        (hold_to_end(), "UD101"),
        (one_write_behind(), "UD104"),
    ],
)
@pytest.mark.parametrize("beacon", [True, False])
def test_buffering_hop_is_named_in_each_position(
    guilty: int, dam: HopModel, code: str, beacon: bool
) -> None:
    dams = [pass_through(), pass_through(), pass_through()]
    dams[guilty] = dam
    hops = analyze_hops(*_path(*dams), offset=ClockOffset() if beacon else None)
    if code == "UD104" and guilty == 2 and not beacon:
        assert _named(hops) == []  # The innermost hop has no inner hop to compare with.
    else:
        assert _named(hops) == [(NAMES[guilty], code)]


@pytest.mark.parametrize("beacon", [True, False])
@pytest.mark.parametrize(
    ("outer", "inner", "found"),
    [
        (
            hold_to_end(),
            timed_flush(300, from_first_byte=True),
            [("edge", "UD101"), ("model", "UD103")],
        ),
        (hold_to_end(), block_buffer(2048), [("edge", "UD101"), ("model", "UD102")]),
        (block_buffer(4096), hold_to_end(), [("model", "UD101")]),
        (hold_to_end(), hold_to_end(), [("model", "UD101")]),
    ],
)
def test_two_buffering_hops(
    outer: HopModel, inner: HopModel, found: list[tuple[str, str]], beacon: bool
) -> None:
    hops = analyze_hops(
        *_path(outer, pass_through(), inner), offset=ClockOffset() if beacon else None
    )
    assert _named(hops) == found


@pytest.mark.parametrize("outer", [block_buffer(4096), hold_to_end()])
def test_late_inner_hop_does_not_excuse_an_outer_hold(outer: HopModel) -> None:
    hops = analyze_hops(*_path(outer, pass_through(), one_write_behind()), offset=ClockOffset())
    assert [hop for hop, _ in _named(hops)] == ["edge", "model"]
    twice = analyze_hops(
        *_path(one_write_behind(), one_write_behind(), pass_through()), offset=ClockOffset()
    )
    assert twice[0].shape.verdict is not Verdict.STREAMING


def test_answer_shorter_than_the_inner_block_does_not_accuse_the_outer_hop() -> None:
    long = _path(pass_through(), block_buffer(4096), pass_through())
    short = exchange(hold_to_end()(answer(even_schedule(25, 15)), 650.0), hop="edge")
    hops = analyze_hops(short, *long[1:])
    assert hops[0].shape.verdict is Verdict.HELD_TO_END
    assert _named(hops) == [("mid", "UD102")]


def test_unknown_inner_hop_is_skipped() -> None:
    edge, _, model = _path(pass_through(), pass_through(), hold_to_end())
    brief = exchange(answer(even_schedule(25, 4)), hop="mid")
    assert _named(analyze_hops(edge, brief, model)) == [("model", "UD101")]
    edge, _, model = _path(hold_to_end(), pass_through(), pass_through())
    hops = analyze_hops(edge, brief, model)
    (found,) = [one for one in find_buffering(hops) if one.code == "UD101"]
    assert (found.hop, found.evidence["may_begin_at"]) == ("edge", "mid")
    assert not begins_at(hops, 1)


@pytest.mark.seconds
def test_inner_hop_rules_out_a_speculative_decoder() -> None:
    due = even_schedule(30, 160)
    singles = exchange(answer(due), hop="model")
    for period, code in ((100.0, "UD103"), (40.0, "UD111")):
        outer = exchange(
            timed_flush(period, from_first_byte=True)(answer(due), due[-1]), hop="edge"
        )
        assert _named(analyze_hops(outer)) == []
        assert _named(analyze_hops(outer, singles)) == [("edge", code)]
        # Both hops have the same bursts, so the decoder causes them.
        assert _named(analyze_hops(outer, outer)) == []
    few = exchange(answer(even_schedule(30, 4)), hop="model")
    assert _named(analyze_hops(outer, few)) == []  # Four events are not enough evidence.


@pytest.mark.parametrize("later_ms", [0, 6, 12, 19, 25, 31, 50, 400])
def test_later_start_is_not_late(later_ms: float) -> None:
    inner = exchange(answer(even_schedule(25, 80)), hop="model")
    outer = exchange(answer(even_schedule(25, 80, first_ms=300 + later_ms)), hop="edge")
    assert _named(analyze_hops(outer, inner)) == []


def test_hold_in_half_of_the_streams_is_not_proved() -> None:
    free = read_exchange(exchange(answer(even_schedule(25, 80))))
    held = read_exchange(exchange(hold_to_end()(answer(even_schedule(25, 80)), 2300)))
    assert analyze_hop([held, free]).shape.verdict is Verdict.STREAMING
    assert analyze_hop([held, free]).reading is free
    assert analyze_hop([free, held, held]).shape.verdict is Verdict.HELD_TO_END


def test_jitter_before_the_outer_hop_is_not_a_hold() -> None:
    writes = answer(even_schedule(2, 200))
    outer = over_long_path(exchange(delayed(writes, random.Random(1), 40, 90), hop="edge"), 80)
    assert analyze_hops(outer)[0].shape.evidence["few_at_a_time"]
    assert _named(analyze_hops(outer, exchange(writes, hop="model"))) == []
