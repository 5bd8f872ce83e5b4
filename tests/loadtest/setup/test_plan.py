"""The workers' shares add up to exactly the whole load."""

from __future__ import annotations

import itertools
import statistics
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import UsageError
from undam.loadtest.setup import plan
from undam.loadtest.setup.plan import (
    Load,
    default_warmup,
    proportional_parts,
    split_load,
    start_offsets_ns,
)

WORKERS = st.integers(1, 7)


@given(total=st.integers(0, 10_000), weights=st.lists(st.integers(0, 50), min_size=1).filter(sum))
def test_parts_add_up_and_are_proportional(total: int, weights: list[int]) -> None:
    parts = proportional_parts(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1


@given(requests=st.integers(1, 200), warmup=st.integers(0, 20), workers=WORKERS)
def test_shares_of_an_open_loop_are_one_schedule(requests: int, warmup: int, workers: int) -> None:
    load = Load(rate=50, requests=requests, warmup=warmup, seed=3)
    shares = split_load(load, workers)
    requests_sent = sorted(
        pair for share in shares for pair in zip(share.numbers, share.offsets_ns, strict=True)
    )
    assert [number for number, _ in requests_sent] == list(range(requests + warmup))
    alone = split_load(load, 1)[0].offsets_ns
    assert tuple(at for _, at in requests_sent) == alone == tuple(sorted(alone))
    assert sum(share.warmup for share in shares) == warmup
    # Warm-up requests come first in the whole plan, whichever workers send them.
    for share in shares:
        assert all(number < warmup for number in share.numbers[: share.warmup])
        assert all(number >= warmup for number in share.numbers[share.warmup :])


@given(
    slots=st.integers(1, 100),
    requests=st.one_of(st.none(), st.integers(1, 500)),
    warmup=st.integers(0, 50),
    workers=WORKERS,
)
def test_shares_of_a_closed_loop_have_all_slots_and_requests(
    slots: int, requests: int | None, warmup: int, workers: int
) -> None:
    load = Load(
        concurrency=slots,
        requests=requests,
        duration_s=None if requests else 1.0,
        warmup=warmup,
    )
    shares = split_load(load, workers)
    offsets = sorted(at for share in shares for at in share.offsets_ns)
    assert len(offsets) == (slots if load.total is None else min(slots, load.total))
    assert offsets[0] == 0
    assert len(set(offsets)) == len(offsets), "slots start one after the other"
    assert sum(share.warmup for share in shares) == warmup
    if load.total is not None:
        assert sum(share.total or 0 for share in shares) == load.total
        assert all(bool(share.total) <= bool(share.offsets_ns) for share in shares)


def test_poisson_arrivals_are_seeded_and_have_the_right_rate_and_variance() -> None:
    load = Load(rate=100, requests=20_000, seed=1)
    starts = split_load(load, 1)[0].offsets_ns
    assert starts == split_load(load, 1)[0].offsets_ns
    assert starts != split_load(Load(rate=100, requests=20_000, seed=2), 1)[0].offsets_ns
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert statistics.mean(gaps) == pytest.approx(10e6, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


def test_constant_arrivals_do_not_drift() -> None:
    starts = split_load(Load(rate=3, arrivals="constant", requests=3001), 1)[0].offsets_ns
    assert starts[3000] == 1000 * 10**9


def test_duration_ends_an_open_loop_and_trace_keeps_its_times() -> None:
    load = Load(rate=10, arrivals="constant", duration_s=2.0)
    assert len(split_load(load, 1)[0].offsets_ns) == 20
    trace = Load(arrivals="trace", trace_ns=(0, 5, 5, 9), duration_s=None)
    assert [share.offsets_ns for share in split_load(trace, 2)] == [(0, 5), (5, 9)]
    assert list(start_offsets_ns(trace)) == [0, 5, 5, 9]


def test_ramp_is_limited_by_default_and_can_be_set() -> None:
    def last(load: Load) -> int:
        return max(at for share in split_load(load, 3) for at in share.offsets_ns)

    assert last(Load(concurrency=10, requests=100)) < 50_000_000
    assert 1_900_000_000 < last(Load(concurrency=5000, requests=5000)) < 2_000_000_000
    assert last(Load(concurrency=10, requests=100, ramp_s=0)) == 0


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(concurrency=8, requests=1000), 8),
        (Load(concurrency=8, requests=20), 2),
        (Load(concurrency=5000, duration_s=60), 100),
        (Load(rate=2.5, duration_s=60), 3),
        (Load(rate=50, duration_s=2), 10),
        (Load(arrivals="trace", trace_ns=(0, 1), requests=2), 0),
    ],
)
def test_default_warmup(load: Load, expected: int) -> None:
    assert default_warmup(load) == expected


def test_load_with_too_many_requests_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan._MAX_REQUESTS == 10_000_000
    monkeypatch.setattr(plan, "_MAX_REQUESTS", 10_000)
    with pytest.raises(UsageError, match="more than 10000 requests in one run: shorten"):
        split_load(Load(rate=1e9, arrivals="constant", duration_s=10), 1)
    assert split_load(Load(rate=1e3, arrivals="constant", duration_s=10), 1)[0].total == 10_000


def _starts(count: int, **load: Any) -> list[float]:
    return [at / 1e9 for at in islice(start_offsets_ns(Load(**load)), count)]


@pytest.mark.parametrize(("burstiness", "variation"), [(0.25, 2.0), (1.0, 1.0), (4.0, 0.5)])
def test_gamma_arrivals_have_the_requested_rate_and_variation(
    burstiness: float, variation: float
) -> None:
    starts = _starts(20_000, rate=50.0, arrivals="gamma", burstiness=burstiness)
    gaps = [b - a for a, b in pairwise(starts)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.05)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread / mean == pytest.approx(variation, rel=0.1)


@pytest.mark.parametrize(("first", "last"), [(10.0, 50.0), (50.0, 10.0), (20.0, 20.0)])
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_rate_changes_linearly(first: float, last: float, arrivals: str) -> None:
    load = Load(rate=first, rate_end=last, duration_s=60.0, arrivals=arrivals)  # type: ignore[arg-type]
    (share,) = split_load(load, 1)
    starts = [at / 1e9 for at in share.offsets_ns]
    assert len(starts) == pytest.approx(60 * (first + last) / 2, rel=0.1)
    for begin in (0, 50):
        counted = sum(begin <= at < begin + 10 for at in starts)
        expected = 10 * (first + (last - first) * (begin + 5) / 60)
        assert counted == pytest.approx(expected, rel=0.35)
    assert starts == sorted(starts)
