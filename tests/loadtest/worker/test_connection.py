"""Upper bound on how long data waited in a connection's receive buffer before it was read."""

from __future__ import annotations

import socket
import time

from undam.loadtest.worker.connection import ConnectionState, WorkerConnection

S = 1_000_000_000


def test_a_full_read_may_leave_data_that_arrived_before_the_latest_poll() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = WorkerConnection((socket.AF_INET, server.getsockname()), None)
        peer, _ = server.accept()
        with peer:
            connection.advance()
            assert connection.state is ConnectionState.IDLE
            peer.sendall(b"12345678")
            connection.read_bytes = 4
            drained_ns = time.time_ns() - 10 * S
            (at_ns, slack_ns, _, data), _, _ = connection.read(drained_ns)
            assert (data, slack_ns) == (b"1234", at_ns - drained_ns)

            # This poll began before the first read, which left the second half in the receive
            # buffer.
            (at_ns, slack_ns, _, data), _, _ = connection.read(drained_ns + S)
            assert (data, slack_ns) == (b"5678", at_ns - drained_ns)

            # A poll after a full read found the receive buffer empty, so new data arrived after
            # that poll.
            polled_ns = time.time_ns()
            peer.sendall(b"abcd")
            (at_ns, slack_ns, _, data), _, _ = connection.read(polled_ns)
            assert (data, slack_ns) == (b"abcd", at_ns - polled_ns)
        connection.close()
