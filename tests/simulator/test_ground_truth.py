"""The ground-truth log: line format, block writes, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.simulator.ground_truth import GroundTruthLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_kind_of_line_is_json(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    with GroundTruthLog(path) as truth:
        truth.request("a-1", 5, '/sse"\n')
        truth.event(b"a-1", 0, 10, 11, 99)
        truth.end("a-1", "complete", 12)
    assert lines(path) == [
        {"kind": "request", "id": "a-1", "arrived_ns": 5, "path": '/sse"\n'},
        {"kind": "event", "id": "a-1", "seq": 0, "due_ns": 10, "left_ns": 11, "bytes": 99},
        {"kind": "end", "id": "a-1", "reason": "complete", "at_ns": 12},
    ]


def test_lines_are_written_in_blocks_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    truth = GroundTruthLog(path)
    for seq in range(2000):
        truth.event(b"a-1", seq, 1, 1, 1)
    assert truth.full
    truth.write_block()
    assert 0 < len(lines(path)) < 2000
    truth.close()
    truth.close()
    assert [line["seq"] for line in lines(path)] == list(range(2000))
    assert not truth.pending


def test_without_a_path_nothing_is_buffered() -> None:
    truth = GroundTruthLog(None)
    truth.request("a", 1, "/")
    truth.event(b"a", 1, 1, 1, 1)
    assert not truth.pending


def test_write_errors_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the ground truth"):
        GroundTruthLog(tmp_path / "no" / "such")
    full = GroundTruthLog(Path("/dev/full"))
    full.end("a", "died", 1)
    with pytest.raises(UsageError, match="No space left"):
        full.close()
