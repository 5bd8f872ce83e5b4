"""Histograms: no value is lost, merging is exact, and quantiles use the nearest rank."""

from __future__ import annotations

import json
import pickle
import random
from itertools import pairwise
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from undam.timing import Histogram, quantile

VALUES = st.lists(st.integers(0, 1 << 62) | st.integers(0, 5000), min_size=1, max_size=60)
BITS = st.integers(2, 20)
SHOWN = (0, 0.07, 0.5, 0.9, 0.95, 0.99, 0.999, 1)


def _of(values: list[int], bits: int = 16) -> Histogram:
    histogram = Histogram(bits=bits)
    histogram.record_all(values)
    return histogram


@given(VALUES, BITS, st.sampled_from(SHOWN))
def test_quantile_is_the_nearest_rank_within_its_bucket(
    values: list[int], bits: int, q: float
) -> None:
    exact = quantile(sorted(values), q)
    found = _of(values, bits).quantile(q)
    assert exact <= found <= exact * (1 + 2.0 ** (1 - bits)) + 1e-9
    assert found <= max(values)


@pytest.mark.seconds
@given(VALUES, VALUES, BITS)
def test_merge_equals_recording_all_values(a: list[int], b: list[int], bits: int) -> None:
    merged, one_by_one = _of(a, bits), Histogram(bits=bits)
    merged += _of(b, bits)
    for value in a + b:
        one_by_one.record(value)
    assert merged == one_by_one == _of(b + a, bits)
    assert (merged.count, merged.total) == (len(a + b), sum(a + b))
    assert (merged.min, merged.max) == (min(a + b), max(a + b))
    assert merged.mean() == sum(a + b) / len(a + b)


@given(VALUES, BITS)
def test_each_value_is_in_exactly_one_bucket(values: list[int], bits: int) -> None:
    rows = list(_of(values, bits).buckets())
    assert sum(n for _, _, n in rows) == len(values)
    for value in values:
        assert sum(lower <= value <= upper for lower, upper, _ in rows) == 1
    for (_, end, _), (start, _, _) in pairwise(rows):
        assert end < start


@pytest.mark.parametrize("bits", [2, 3, 11])
def test_buckets_are_contiguous(bits: int) -> None:
    rows = list(_of(list(range(1 << 12)), bits).buckets())
    assert [upper + 1 for _, upper, _ in rows][:-1] == [lower for lower, _, _ in rows][1:]
    assert all(n == upper - lower + 1 for lower, upper, n in rows)


@pytest.mark.seconds
@given(VALUES, st.integers(2, 16))
def test_coarser_equals_recording_with_fewer_bits(values: list[int], bits: int) -> None:
    assert _of(values).coarser(bits) == _of(values, bits)


@given(VALUES, BITS)
def test_json_and_pickle_round_trip(values: list[int], bits: int) -> None:
    histogram = _of(values, bits)
    assert Histogram.from_sparse(json.loads(json.dumps(histogram.to_sparse()))) == histogram
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_equals_hdrhistogram() -> None:
    rng = random.Random(7)
    values = [int(rng.lognormvariate(16, 1.5)) for _ in range(5000)]
    oracle = HdrHistogram(1, 1 << 40, 3)
    for value in values:
        oracle.record_value(value)
    ours = _of(values, 11)
    for q in SHOWN[1:]:
        theirs = oracle.get_value_at_percentile(q * 100)
        assert ours.quantile(q) == min(theirs, max(values))
    for index, n in ours.indices():
        assert oracle.get_count_at_index(index) == n


def test_count_above_is_of_whole_buckets() -> None:
    histogram = _of([1, 5, 5, 9])
    assert [histogram.count_above(value) for value in (0, 5, 9)] == [4, 1, 0]


def test_recording_nothing_changes_nothing() -> None:
    histogram = Histogram()
    histogram.record(5, 0)
    histogram.record_all([])
    histogram += Histogram()
    histogram.merge_coarsely(Histogram())
    assert (histogram, histogram.min, histogram.count) == (Histogram(), None, 0)
    assert Histogram.from_sparse(histogram.to_sparse()) == histogram
    assert histogram != 0
    assert "0 values" in repr(histogram)


def test_invalid_calls_raise() -> None:
    empty = Histogram()
    for call in (empty.mean, lambda: empty.quantile(0.5)):
        with pytest.raises(ValueError, match="no values"):
            call()
    full = _of([1, 2])
    invalid: list[Any] = [
        lambda: full.record(-1),
        lambda: full.record(1, -1),
        lambda: full.record_all([3, -1]),
        lambda: full.quantile(1.01),
        lambda: full.merge(Histogram(bits=9)),
        lambda: full.coarser(17),
        lambda: Histogram(bits=1),
    ]
    for call in invalid:
        with pytest.raises(ValueError):
            call()
    assert full == _of([1, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 99},
        {"bits": True},
        {"counts": 5},
        {"counts": "1:-1"},
        {"counts": "1:1:1"},
        {"counts": "1"},
        {"counts": "9" * 30 + ":1"},
        {"counts": "9" * 20 + ":1"},
        {"min": 2},
        {"min": None},
        {"max": 8},
        {"total": 7},
        {"total": -1},
        {"counts": ""},
    ],
)
def test_damaged_json_is_rejected(change: dict[str, Any]) -> None:
    sparse = _of([1, 5]).to_sparse()
    with pytest.raises(ValueError):
        Histogram.from_sparse(sparse | change)
    with pytest.raises(ValueError):
        Histogram.from_sparse({})
