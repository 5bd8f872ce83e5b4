"""Case research/02: a server without TCP_NODELAY is reported, and a server with it is not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.lossy_relay import plain_events
from support.threaded_server import head, read_request
from support.undam_command import run_undam

Write = Callable[[socket.socket], None]


def _small_writes(conn: socket.socket) -> None:
    """Send the head, the role and each token separately, as axum and Go do, one token per 10 ms."""
    conn.sendall(head())
    events = plain_events([f"word{n} " for n in range(30)])
    for event in events:
        conn.sendall(chunk(event))
        time.sleep(0.01)
    conn.sendall(LAST_CHUNK)


def _slow_model(conn: socket.socket) -> None:
    """Send the head immediately and the first token 44 ms later, on every connection."""
    conn.sendall(head())
    time.sleep(0.044)
    for event in plain_events([f"word{n} " for n in range(30)]):
        conn.sendall(chunk(event))
        time.sleep(0.01)
    conn.sendall(LAST_CHUNK)


def _head_with_first_token(conn: socket.socket) -> None:
    """Send the head together with the first token."""
    events = plain_events([f"word{n} " for n in range(30)])
    conn.sendall(head() + chunk(events[0]))
    for event in events[1:]:
        time.sleep(0.01)
        conn.sendall(chunk(event))
    conn.sendall(LAST_CHUNK)


def _closing(conn: socket.socket) -> None:
    """Close the connection after the answer, although the response head did not announce it."""
    _small_writes(conn)
    raise ConnectionAbortedError


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Return a function that starts a server with persistent connections."""
    listeners: list[socket.socket] = []

    def start(write: Write, *, nagle: bool) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run(conn: socket.socket) -> None:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0 if nagle else 1)
            try:
                with conn:
                    while read_request(conn):
                        write(conn)
            except OSError:
                pass

        def accept() -> None:
            while True:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=run, args=(conn,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_nagle_is_named_with_the_fix(serve: Callable[..., str]) -> None:
    done = run_undam("check", serve(_small_writes, nagle=True), "--model", "m", "--json")
    (found,) = [one for one in done.json["findings"] if one["code"] == "UD206"]
    assert 36 <= found["evidence"]["delay_ms"] <= 60
    assert done.code == 1
    assert "TCP_NODELAY" in found["message"]


@pytest.mark.parametrize(
    ("write", "nagle"),
    [
        (_small_writes, False),
        (_slow_model, False),
        (_head_with_first_token, False),
        (_closing, True),
    ],
)
def test_nothing_is_named_without_the_delay(
    serve: Callable[..., str], write: Write, nagle: bool
) -> None:
    done = run_undam("check", serve(write, nagle=nagle), "--model", "m", "--json")
    assert "UD206" not in done.codes


@pytest.mark.parametrize("nagle", [True, False])
def test_bench_names_the_same_cause(serve: Callable[..., str], nagle: bool) -> None:
    url = serve(_small_writes, nagle=nagle)
    done = run_undam("bench", url, "--model", "m", "-c", "2", "-n", "20", "--json")
    assert ("UD206" in done.codes) is nagle
