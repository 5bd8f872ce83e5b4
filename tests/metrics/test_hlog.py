"""HdrHistogram logs: the reference library reads back every value that was written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hdrh.log import HistogramLogReader  # type: ignore[import-untyped]

from support.load_test_model import simulate
from undam.metrics import TIMES, Summary, summarize
from undam.metrics.hlog import hdr_payload, hlog_lines
from undam.timing import Histogram


def test_library_reads_back_equal_counts(tmp_path: Path) -> None:
    summary = summarize(simulate(40, per_write=2))
    path = tmp_path / "run.hlog"
    path.write_text("".join(hlog_lines(summary)))
    reader = HistogramLogReader(str(path), HdrHistogram(1, 1 << 40, 3))
    for name in TIMES:
        theirs, ours = reader.get_next_interval_histogram(), summary.times(name)
        assert theirs.get_tag() == name
        assert theirs.get_total_count() == ours.count
        for index, n in ours.coarser(11).indices():
            assert theirs.get_count_at_index(index) == n
        for q in (0.5, 0.9, 0.99):
            assert theirs.get_value_at_percentile(100 * q) >= ours.quantile(q) * 0.999
        assert theirs.get_start_time_stamp() == pytest.approx((summary.first_ns or 0) / 1e6, abs=1)
        length = theirs.get_end_time_stamp() - theirs.get_start_time_stamp()
        assert length == pytest.approx(summary.duration_ns / 1e6, abs=1)
    assert reader.get_next_interval_histogram() is None
    reader.input_file.close()


@pytest.mark.parametrize("top", [0, 1, 2048, 1 << 41, (1 << 62) + 5])
def test_any_count_at_any_value_round_trips(top: int) -> None:
    rng, ours = random.Random(top), Histogram()
    for bits in range(0, 62, 3):
        ours.record(rng.randrange(1 + min(top, 1 << bits)), 1 << rng.randrange(40))
    ours.record(top, (1 << 40) - 1)
    theirs = HdrHistogram.decode(hdr_payload(ours))
    assert theirs.get_total_count() == ours.count
    for index, n in ours.coarser(11).indices():
        assert theirs.get_count_at_index(index) == n


def test_huge_count_takes_nine_bytes() -> None:
    ours = Histogram()
    ours.record(1, (1 << 62) - 1)
    assert HdrHistogram.decode(hdr_payload(ours)).get_count_at_value(1) == (1 << 62) - 1


def test_run_without_values_has_no_lines() -> None:
    assert all(line.startswith(("#", '"')) for line in hlog_lines(Summary()))
