"""Nagle delays in a load test are detected by their pattern, and similar responses are not."""

from __future__ import annotations

import pytest

from undam.metrics import summarize
from undam.metrics.nagle import nagle_delay_ns
from undam.record import ContentRead, Outcome, RequestResult

MS = 1_000_000
START = 1_790_000_000_000_000_000


def _answer(
    number: int = 0, *, first_ms: float = 44, first_events: int = 4, each: int = 1,
    late_ms: float = 0.1, reads: int = 20, head: bool = True,
) -> RequestResult:  # fmt: skip
    start = START + number * 500 * MS
    at = start + round(first_ms * MS)
    found = [ContentRead(at, 0, round(late_ms * MS), first_events)]
    found += [ContentRead(at + (i + 1) * 10 * MS, 0, 100_000, each) for i in range(reads - 1)]
    return RequestResult(
        number=number, worker=0, intended_ns=start, started_ns=start,
        head_ns=start if head else None, ended_ns=found[-1].at_ns + MS, outcome=Outcome.COMPLETE,
        status=200, reads=tuple(found),
    )  # fmt: skip


@pytest.mark.parametrize("first_ms", [36, 41.5, 60])
def test_the_pattern(first_ms: float) -> None:
    assert nagle_delay_ns(_answer(first_ms=first_ms)) == round(first_ms * MS)


@pytest.mark.parametrize(
    "change",
    [
        {"first_ms": 35}, {"first_ms": 61}, {"first_events": 1}, {"each": 4}, {"late_ms": 6},
        {"reads": 3}, {"head": False},
    ],
)  # fmt: skip
def test_similar_answers_are_not_delayed(change: dict[str, float]) -> None:
    assert nagle_delay_ns(_answer(**change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("delayed", "of", "found"), [(58, 60, True), (2, 3, False), (5, 60, False)]
)
def test_the_finding_needs_many_answers(delayed: int, of: int, found: bool) -> None:
    results = [_answer(n) if n < delayed else _answer(n, first_ms=2) for n in range(of)]
    named = [one for one in summarize(results).findings() if one.code == "UD206"]
    assert bool(named) is found
    if found:
        assert named[0].evidence["delay_ms"] == 44.0
