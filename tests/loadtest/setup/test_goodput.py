"""A request is good if it is complete and meets every time objective on its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo
from undam.record import ContentRead, Outcome, RequestResult

MS = 1_000_000
# The TTFT is 100 ms, followed by gaps of 10, 10 and 40 ms.
RESULT = RequestResult(
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
def test_objective_applies_to_the_values_of_one_request(text: str, good: bool) -> None:
    goodput = Goodput([parse_slo(text)])
    goodput.add(RESULT)
    assert (goodput.good, goodput.counted) == (int(good), 1)


def test_excluded_requests_and_requests_that_are_never_good() -> None:
    goodput = Goodput([parse_slo("itl_p99<1ms")])
    assert goodput.percent is None
    goodput.add(replace(RESULT, warmup=True))
    goodput.add(replace(RESULT, outcome=Outcome.ABANDONED))
    assert goodput.counted == 0
    goodput.add(replace(RESULT, reads=RESULT.reads[:1]))
    goodput.add(replace(RESULT, outcome=Outcome.INCOMPLETE, reads=RESULT.reads[:1]))
    goodput.add(replace(RESULT, outcome=Outcome.ERROR, reads=(), started_ns=None))
    assert goodput.percent == pytest.approx(100 / 3)
