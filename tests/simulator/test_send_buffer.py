"""The send buffer: bytes stay in order, and send times are recorded."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from undam.simulator.ground_truth import GroundTruthLog
from undam.simulator.send_buffer import SendBuffer


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_send_time_of_an_event_is_that_of_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    server, client = socket.socketpair()
    with server, client, GroundTruthLog(path) as truth:
        server.setblocking(False)
        buffer = SendBuffer(server, truth)
        buffer.begin("a-1")
        size = 2_000_000
        buffer.send(b"x" * size, [(1, 0, 1, 1), (size, 1, 1, size - 1)])
        assert buffer.unsent
        buffer.send(b"y", [(1, 2, 1, 1)])
        truth.write_block()
        assert [line["seq"] for line in lines(path)] == [0]
        received = b""
        while buffer.unsent or len(received) < size + 1:
            received += client.recv(1 << 20)
            if buffer.unsent:
                buffer.flush()
        truth.write_block()
        assert received == b"x" * size + b"y"
    sent_ns = [line["left_ns"] for line in lines(path)]
    assert len(sent_ns) == 3
    assert sent_ns[0] < sent_ns[1]  # type: ignore[operator]
