"""A good request is complete and keeps each objective by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo
from undam.record import ContentRead, Outcome, RequestResult

MS = 1_000_000
# TTFT 100 ms, then gaps of 10, 10 and 40 ms.
ONE = RequestResult(
    number=0,
    worker=0,
    intended_ns=0,
    started_ns=1 * MS,
    ended_ns=161 * MS,
    outcome=Outcome.COMPLETE,
    reads=tuple(ContentRead(at * MS, 0, 0, 1) for at in (100, 110, 120, 160)),
)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ttft_p99<100ms", False),
        ("ttft_p50<=100ms", True),
        ("itl_p50<11ms", True),
        ("itl_p99<39ms", False),
        ("itl_mean<=20ms", True),
        ("itl_max<40ms", False),
        ("itl_min<10.1ms", True),
        ("tpot_p99<=20ms", True),
        ("tpot_p99<20ms", False),
        ("e2e_p99<161ms", False),
        ("send_delay_p99<=1ms", True),
        ("errors<1%", True),
    ],
)
def test_each_objective_is_asked_of_the_request_itself(text: str, good: bool) -> None:
    count = Goodput([parse_slo(text)])
    count.add(ONE)
    assert (count.good, count.counted) == (int(good), 1)


def test_what_does_not_count_and_what_is_never_good() -> None:
    count = Goodput([parse_slo("itl_p99<1ms")])
    assert count.percent is None
    count.add(replace(ONE, warmup=True))
    count.add(replace(ONE, outcome=Outcome.ABANDONED))
    assert count.counted == 0
    count.add(replace(ONE, reads=ONE.reads[:1]))
    count.add(replace(ONE, outcome=Outcome.INCOMPLETE, reads=ONE.reads[:1]))
    count.add(replace(ONE, outcome=Outcome.ERROR, reads=(), started_ns=None))
    assert count.percent == pytest.approx(100 / 3)
