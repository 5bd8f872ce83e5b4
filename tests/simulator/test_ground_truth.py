"""The truth file, what is remembered of exchanges, and bytes that a slow reader leaves behind."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.simulator.exchanges import ExchangeLog
from undam.simulator.ground_truth import GroundTruthLog
from undam.simulator.outbox import SendBuffer


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


def test_much_is_written_in_pieces_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    truth = GroundTruthLog(path)
    for seq in range(2000):
        truth.event(b"a-1", seq, 1, 1, 1)
    assert truth.pressing
    truth.write_piece()
    assert 0 < len(lines(path)) < 2000
    truth.close()
    truth.close()
    assert [line["seq"] for line in lines(path)] == list(range(2000))
    assert not truth.waiting


def test_without_a_path_nothing_is_kept() -> None:
    truth = GroundTruthLog(None)
    truth.request("a", 1, "/")
    truth.event(b"a", 1, 1, 1, 1)
    assert not truth.waiting


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the truth"):
        GroundTruthLog(tmp_path / "no" / "such")
    full = GroundTruthLog(Path("/dev/full"))
    full.end("a", "died", 1)
    with pytest.raises(UsageError, match="No space left"):
        full.close()


def test_exchanges_are_known_while_open_and_after_and_then_forgotten() -> None:
    exchanges = ExchangeLog(remembered=2)
    exchanges.opened("a")
    assert exchanges.closed("a") == {"known": True, "closed_ns": None, "finished": False}
    exchanges.ended("a", 7, finished=True)
    assert exchanges.closed("a") == {"known": True, "closed_ns": 7, "finished": True}
    exchanges.opened("b")
    exchanges.opened("c")
    exchanges.ended("a", 8, finished=True)
    assert exchanges.closed("a") == {"known": False, "closed_ns": None, "finished": False}


def test_an_event_has_left_when_its_last_byte_has(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    near, far = socket.socketpair()
    with near, far, GroundTruthLog(path) as truth:
        near.setblocking(False)
        outbox = SendBuffer(near, truth)
        outbox.begin("a-1")
        size = 2_000_000
        outbox.send(b"x" * size, [(1, 0, 1, 1), (size, 1, 1, size - 1)])
        assert outbox.held
        outbox.send(b"y", [(1, 2, 1, 1)])
        truth.write_piece()
        assert [line["seq"] for line in lines(path)] == [0]
        got = b""
        while outbox.held or len(got) < size + 1:
            got += far.recv(1 << 20)
            if outbox.held:
                outbox.flush()
        truth.write_piece()
        assert got == b"x" * size + b"y"
    left = [line["left_ns"] for line in lines(path)]
    assert len(left) == 3
    assert left[0] < left[1]  # type: ignore[operator]
