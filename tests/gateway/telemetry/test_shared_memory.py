"""SharedMetrics: incomplete records, and sums of snapshots."""

from __future__ import annotations

from undam.gateway.telemetry.shared_memory import SharedMetrics, merge


def test_a_record_that_a_crash_left_incomplete_is_freed() -> None:
    shared_metrics = SharedMetrics.make(3)
    region = shared_metrics.region(0)
    region.numbers("incomplete", 1)
    region.numbers("complete", 1)
    region._slots[1] += 1  # The worker died while it was changing the first record.
    assert list(shared_metrics.snapshot()) == ["complete"]
    reopened = shared_metrics.region(0)
    assert reopened.keys() == ["complete"]
    assert reopened.numbers("new", 1) is not None
    assert set(shared_metrics.snapshot()) == {"complete", "new"}


def test_merge_sums_common_series_and_keeps_the_others() -> None:
    one, other = {"a": [1, 2], "b": [3]}, {"a": [10, 20], "c": [4]}
    assert merge([one, other]) == {"a": [11, 22], "b": [3], "c": [4]}
    assert one == {"a": [1, 2], "b": [3]}
