"""`undam check` against a server that holds its own events: the fix is for the server, not a proxy.

One server is Puma, which corks the socket for the whole body. The others are small test servers
that cork the socket as well, or flush by a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.live import check
from support.threaded_server import serving
from undam.lab.proxies import RunningProxy, start_haproxy, start_nginx
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start
from undam.probe import Report
from undam.rules import Finding, Severity

EVENTS = 60
GAP_S = 0.03
QUICK_EVENTS = 200
QUICK_GAP_S = 0.01

MIXED_CASE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
WITH_SERVER = MIXED_CASE.replace(b"\r\n\r\n", b"\r\nServer: corky/1.0\r\nDate: now\r\n\r\n")
# Header names are lower case in responses of HAProxy, but also of Puma 8 with Rack 3 and
# many other servers.
LOWER_CASE = MIXED_CASE.lower().replace(b"http/1.1 200 ok", b"HTTP/1.1 200 OK")
LOWER_CASE_WITH_SERVER = LOWER_CASE.replace(b"\r\n\r\n", b"\r\nserver: corky\r\ndate: now\r\n\r\n")

CONFIG_RU = """\
class Body
  def each
    60.times { |i| yield "data: #{i} #{'x' * 40}\\n\\n"; sleep 0.03 }
  end
end
run ->(env) { [200, {"Content-Type" => "text/event-stream"}, Body.new] }
"""


def event(number: int) -> bytes:
    return chunk(f"data: {number} {'x' * 40}\n\n".encode())


def corking(head: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a handler that corks the socket before the head and uncorks it after the body."""

    def answer(conn: socket.socket, _: bytes) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        conn.sendall(head)
        for number in range(EVENTS):
            conn.sendall(event(number))
            time.sleep(GAP_S)
        conn.sendall(LAST_CHUNK)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    return answer


def flushing_every(period_s: float, head: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a handler that collects events and writes them at regular intervals."""

    def answer(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head)
        lock, collected, over = threading.Lock(), bytearray(), threading.Event()

        def flush() -> None:
            with lock:
                data = bytes(collected)
                collected.clear()
            if data:
                conn.sendall(data)

        def tick() -> None:
            due = time.monotonic()
            while not over.is_set():
                due += period_s
                over.wait(due - time.monotonic())
                with contextlib.suppress(OSError):
                    flush()

        timer = threading.Thread(target=tick)
        timer.start()
        # Each release has at least ten events, because speculative decoding could explain a few.
        for number in range(QUICK_EVENTS):
            with lock:
                collected.extend(event(number))
            time.sleep(QUICK_GAP_S)
        over.set()
        timer.join()
        flush()
        conn.sendall(LAST_CHUNK)

    return answer


def held_by_timer(*hops: str) -> Finding:
    """Return the finding about the held stream; repeat the check if the machine was busy."""
    for _ in range(3):
        found = [one for one in measured(*hops).findings if one.code == "UD103"]
        if found:
            break
    (one,) = found
    assert one.severity is not Severity.INFO
    return one


def measured(*hops: str) -> Report:
    inner = [(f"hop{number}", url) for number, url in enumerate(hops[1:])]
    return asyncio.run(check(hops[0], *inner, path=""))


def names_the_server(found: Finding) -> bool:
    return found.fix is not None and found.fix.where.startswith("the server itself")


@pytest.fixture
def puma() -> Iterator[RunningProxy]:
    if shutil.which("puma") is None:
        pytest.skip("puma is not installed (apt-get install puma)")

    def plan(workspace: Workspace) -> LaunchPlan:
        bind = f"tcp://127.0.0.1:{workspace.port}"
        return LaunchPlan(config=CONFIG_RU, config_name="config.ru",
                    arguments=("-b", bind, "-t", "2:2", "config.ru"))  # fmt: skip

    with start("puma", plan) as running:
        yield running


def test_puma_is_named_and_haproxy_is_not(puma: RunningProxy) -> None:
    found = held_by_timer(puma.url)
    assert names_the_server(found)
    assert found.fix is not None
    assert "puma" in found.fix.where
    assert "haproxy" not in f"{found.fix.where} {found.fix.text}".lower()
    assert "no TCP_CORK" in found.fix.text


@pytest.mark.parametrize("head", [MIXED_CASE, WITH_SERVER, LOWER_CASE])
def test_a_server_that_corks_is_named(head: bytes) -> None:
    with serving(corking(head)) as server:
        found = held_by_timer(server.url(""))
    assert names_the_server(found), found.fix
    assert found.fix is not None
    assert ("corky/1.0" in found.fix.where) == (head is WITH_SERVER)


def test_head_that_haproxy_could_have_sent_suggests_both() -> None:
    with serving(corking(LOWER_CASE_WITH_SERVER)) as server:
        found = held_by_timer(server.url(""))
    assert found.fix is not None
    assert found.fix.where == "haproxy, if that is in the path"
    assert "the server itself" in found.fix.text


# With a longer period, the few bursts of this stream could be an engine's decoding steps.
@pytest.mark.parametrize("period_s", [0.1, 0.15, 0.2])
def test_a_server_that_flushes_by_a_timer_is_named(period_s: float) -> None:
    with serving(flushing_every(period_s, WITH_SERVER)) as server:
        found = held_by_timer(server.url(""))
    assert names_the_server(found), found.fix
    assert found.fix is not None
    assert "traefik" not in found.fix.where


def test_nginx_before_a_server_that_corks_is_not_blamed(
    run_proxy: Callable[..., RunningProxy],
) -> None:
    with serving(corking(WITH_SERVER)) as server:
        nginx = run_proxy(
            start_nginx, server.url(""), location="proxy_buffering off;\nproxy_http_version 1.1;"
        )
        found = held_by_timer(nginx.url)
    assert found.fix is not None
    assert "proxy_buffering" not in found.fix.text


def test_haproxy_before_a_server_that_streams_is_named(
    run_proxy: Callable[..., RunningProxy],
) -> None:
    def streaming(conn: socket.socket, _: bytes) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn.sendall(WITH_SERVER)
        for number in range(EVENTS):
            conn.sendall(event(number))
            time.sleep(GAP_S)
        conn.sendall(LAST_CHUNK)

    with serving(streaming) as server:
        haproxy = run_proxy(start_haproxy, server.url(""))
        found = held_by_timer(haproxy.url, server.url(""))
    assert (found.hop, found.fix is not None) == ("edge", True)
    assert found.fix is not None
    assert found.fix.where == "haproxy, if that is in the path"
