"""Each finding: one exchange that has it, and a similar one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support import load_test_model
from support.diagnosis_cases import (
    DUE,
    END,
    SHORT,
    Findings,
    broken_at,
    codes,
    found_in,
    head_with,
    in_steps_of,
    judged,
    sse,
    through,
    with_head,
)
from support.synthetic_streams import (
    Sent,
    answer,
    blocks,
    chat_event,
    every,
    exchange,
    merged,
    no_dam,
    one_late,
    timer,
    to_end,
)
from undam.diagnosis.findings.disconnect import Disconnect, find_disconnects
from undam.diagnosis.findings.limits import PathLimits, find_limits
from undam.diagnosis.holds import ClockOffset
from undam.metrics import LoadGeneratorStats
from undam.record import Ending, Exchange, Head, Outcome
from undam.rules import RULES, Severity

Case = Callable[[], Findings]


def _with_accel(*, inner: bool, outer: bool) -> Findings:
    def head(has: bool) -> Head:
        return head_with() if has else head_with(("X-Accel-Buffering", None))

    return judged(
        exchange(SHORT, hop="edge", head=head(outer)),
        exchange(SHORT, hop="model", head=head(inner)),
    )


def _steps(per_step: int, gap_ms: float = 25.0) -> Exchange:
    return exchange(merged(answer([300 + gap_ms * (i // per_step) for i in range(120)])))


def _silent(before_s: float, within_s: float) -> Findings:
    late = every(25, 10, first_ms=(before_s + within_s) * 1000)
    return judged(exchange(answer([before_s * 1000, *late])))


HTML = (("Content-Type", "text/html"),)

CASES: dict[str, tuple[Case, Case]] = {
    "UD101": (lambda: judged(through(to_end())), lambda: judged(through(no_dam()))),
    "UD102": (lambda: judged(through(blocks(4096))), lambda: judged(_steps(3))),
    "UD103": (
        lambda: judged(through(timer(200, from_first_byte=True))),
        lambda: judged(through(timer(60))),
    ),
    "UD104": (
        lambda: judged(through(one_late()), offset=ClockOffset()),
        lambda: judged(through(no_dam()), offset=ClockOffset()),
    ),
    "UD105": (
        lambda: judged(exchange(answer(every(25, 20, first_ms=600)), head_ms=599.9)),
        lambda: judged(exchange(answer(every(25, 20, first_ms=600)), head_ms=590)),
    ),
    "UD106": (
        lambda: judged(through(to_end(), head=head_with(("Content-Encoding", "gzip")), coded=True)),
        lambda: judged(through(no_dam(), head=head_with(("Content-Encoding", "gzip")), coded=True)),
    ),
    "UD107": (
        lambda: with_head(("Content-Length", "4321"), ("Transfer-Encoding", None)),
        with_head,
    ),
    "UD108": (lambda: with_head(("Transfer-Encoding", None)), with_head),
    "UD109": (
        lambda: _with_accel(inner=True, outer=False),
        lambda: _with_accel(inner=True, outer=True),
    ),
    "UD110": (
        lambda: find_disconnects("edge", [Disconnect("in silence", 501.0, 3000.0)]),
        lambda: find_disconnects("edge", [Disconnect("in silence", 500.0, 3000.0)]),
    ),
    "UD111": (lambda: judged(_uneven()), lambda: judged(_steps(5, 60))),
    "UD112": (lambda: judged(_steps(3)), lambda: judged(_steps(1))),
    "UD113": (
        lambda: load_test_model.findings(load_test_model.run(20, per_write=4)),
        lambda: load_test_model.findings(load_test_model.run(20, per_write=1)),
    ),
    "UD201": (
        lambda: with_head(("Cache-Control", "no-transform, max-age=60")),
        lambda: with_head(("Cache-Control", "no-transform, max-age=0")),
    ),
    "UD202": (lambda: with_head(("Incremental", None)), with_head),
    "UD203": (
        lambda: with_head(("Connection", "keep-alive"), version="2"),
        lambda: with_head(("Connection", "keep-alive")),
    ),
    "UD204": (
        lambda: with_head(("Content-Type", "text/plain")),
        lambda: with_head(("Content-Type", "Text/Event-Stream; charset=utf-8")),
    ),
    "UD205": (
        lambda: judged(exchange([Sent(300, b"<html>")], head=head_with(*HTML))),
        lambda: judged(exchange([], head=head_with(*HTML))),
    ),
    "UD301": (
        lambda: found_in(b"id: 1\ndata: {}\n\n: ping\n\n" + END),
        lambda: found_in(b"id: 1\ndata: {}\n\n: ping\ndata: {}\n\n" + END),
    ),
    "UD401": (lambda: _silent(1, 20.1), lambda: _silent(1, 19.9)),
    "UD402": (lambda: _silent(20.1, 1), lambda: _silent(19.9, 1)),
    "UD403": (
        lambda: find_limits("edge", PathLimits(6.0, idle_s=3.0)),
        lambda: find_limits("edge", PathLimits(6.0)),
    ),
    "UD404": (
        lambda: broken_at(15_020, Ending.TRUNCATED),
        lambda: broken_at(13_300, Ending.RESET),
    ),
    "UD405": (
        lambda: find_limits("edge", PathLimits(6.0, drop_between_s=(1.0, 2.0))),
        lambda: find_limits("edge", PathLimits(6.0)),
    ),
    "UD406": (
        lambda: find_limits("edge", PathLimits(6.0, heartbeats_arrive=False)),
        lambda: find_limits("edge", PathLimits(6.0, heartbeats_arrive=True)),
    ),
    "UD501": (lambda: in_steps_of(16), lambda: in_steps_of(11)),
    "UD502": (
        lambda: load_test_model.findings(load_test_model.run(20, stall_ms=260)),
        lambda: load_test_model.findings(load_test_model.run(20, stall_ms=220)),
    ),
    "UD601": (
        lambda: found_in(chat_event("hi")),
        lambda: found_in(chat_event("hi") + chat_event("", finish=True)),
    ),
    "UD602": (
        lambda: found_in(chat_event("hi"), ending=Ending.TRUNCATED),
        lambda: found_in(chat_event("hi") + END, ending=Ending.TRUNCATED),
    ),
    "UD603": (
        lambda: found_in(sse({"error": {"message": "no more memory"}})),
        lambda: found_in(sse({"error": None, "choices": []}) + END),
    ),
    "UD604": (lambda: judged(exchange([])), lambda: found_in(b": ping\n\n" + END)),
    "UD605": (
        lambda: found_in(b"data: {\x00\xff\n\n" + END),
        lambda: found_in(b"data: {}\n\n" + END),
    ),
    "UD606": (
        lambda: judged(exchange(SHORT, ending=Ending.TIMEOUT, ended_ms=60_000)),
        lambda: judged(exchange(SHORT)),
    ),
    "UD607": (
        lambda: judged(exchange(SHORT, ending=Ending.LIMIT)),
        lambda: judged(exchange(SHORT)),
    ),
    "UD608": (
        lambda: judged(exchange([], ending=Ending.TIMEOUT, ended_ms=60_000)),
        lambda: judged(exchange([], ending=Ending.COMPLETE, ended_ms=60_000)),
    ),
    "UD609": (
        lambda: load_test_model.findings(load_test_model.run(20, failing={3: Outcome.INCOMPLETE})),
        lambda: load_test_model.findings(load_test_model.run(20, failing={3: Outcome.ABANDONED})),
    ),
    "UD610": (
        lambda: load_test_model.findings(load_test_model.run(20, failing={3: Outcome.ERROR})),
        lambda: load_test_model.findings(load_test_model.run(20, failing={3: Outcome.ABANDONED})),
    ),
    "UD901": (
        lambda: judged(exchange(SHORT, late_ns=10_000_001)),
        lambda: judged(exchange(SHORT, late_ns=10_000_000)),
    ),
    "UD902": (lambda: judged(_coalesced(26_000_000)), lambda: judged(_coalesced(1_900_000))),
    "UD903": (
        lambda: judged(exchange(SHORT, step_ns=-20_000_001)),
        lambda: judged(exchange(SHORT, step_ns=-20_000_000)),
    ),
    "UD904": (
        lambda: judged(exchange(SHORT, clock="user")),
        lambda: judged(exchange(SHORT, clock="kernel")),
    ),
    "UD905": (
        lambda: judged(exchange(answer(every(25, 7)))),
        lambda: judged(exchange(answer(every(25, 8)))),
    ),
    "UD906": (
        lambda: judged(exchange(SHORT), offset=ClockOffset(0, 2_000_001, 0)),
        lambda: judged(exchange(SHORT), offset=ClockOffset(0, 2_000_000, 0)),
    ),
    "UD907": (
        lambda: load_test_model.findings(load_test_model.run(20, starved_ms=50)),
        lambda: load_test_model.findings(load_test_model.run(20, starved_ms=2)),
    ),
    "UD908": (
        lambda: load_test_model.findings(load_test_model.run(20, sent_late_ms=10)),
        lambda: load_test_model.findings(load_test_model.run(20, sent_late_ms=1)),
    ),
    "UD909": (
        lambda: load_test_model.findings(
            load_test_model.run(20), LoadGeneratorStats(waited_percent=20.0)
        ),
        lambda: load_test_model.findings(
            load_test_model.run(20), LoadGeneratorStats(waited_percent=19.9)
        ),
    ),
}


def _uneven() -> Exchange:
    """Bursts of 8 to 16 whole events, without a rule."""
    at, due = 300.0, []
    for size, pause in ((8, 300), (16, 700), (9, 200), (13, 900), (15, 250), (10, 800), (3, 10)):
        due += [at] * size
        at += pause
    return exchange(merged(answer(due)))


def _coalesced(late_ns: int) -> Exchange:
    """Stream with one read of two events, taken late."""
    due = every(25, 20)
    due[11] = due[10]
    whole = exchange(merged(answer(due)), late_ns=0)
    arrivals = list(whole.arrivals)
    arrivals[10] = replace(arrivals[10], late_ns=late_ns)
    return replace(whole, arrivals=tuple(arrivals))


def test_every_rule_has_a_pair_of_cases() -> None:
    assert sorted(CASES) == sorted(rule.code for rule in RULES)


@pytest.mark.parametrize("code", sorted(CASES))
def test_finding_is_reported(code: str) -> None:
    assert code in codes(CASES[code][0]())


@pytest.mark.parametrize("code", sorted(CASES))
def test_finding_is_not_reported_for_a_similar_exchange(code: str) -> None:
    assert code not in codes(CASES[code][1]())


def test_healthy_stream_has_no_findings() -> None:
    assert judged(exchange(answer(DUE))) == []


def test_worst_finding_is_first() -> None:
    found = judged(through(to_end(), head=head_with(("Incremental", None)), late_ns=11_000_000))
    order = [one.severity for one in found]
    assert set(order) == set(Severity)
    assert order == sorted(order, key=list(Severity).index)
