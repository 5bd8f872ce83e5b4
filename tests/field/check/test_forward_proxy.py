"""Case check/05: the forward proxy is a hop, and a direct request shows whether it buffers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.socks_server import SocksBehaviour, socks_server
from support.threaded_server import DONE, Server, head, serving, token
from support.undam_command import CompletedCommand, invoke, run_undam

pytestmark = pytest.mark.slow  # Each stream takes a second.

COUNT, GAP_S = 30, 0.03
WHOLE_S = 30.0


def stream(conn: socket.socket, _: bytes) -> None:
    conn.sendall(head())
    for _number in range(COUNT):
        conn.sendall(chunk(token()))
        time.sleep(GAP_S)
    conn.sendall(chunk(DONE) + LAST_CHUNK)


@contextmanager
def http_proxy(*, holds: bool) -> Iterator[Server]:
    """Run an HTTP proxy for absolute-form requests. If ``holds``, it buffers the whole response."""

    def script(conn: socket.socket, request: bytes) -> None:
        line, _, rest = request.partition(b"\r\n")
        method, url, version = line.split()
        authority, slash, path = url.removeprefix(b"http://").partition(b"/")
        host, _, port = authority.partition(b":")
        with socket.create_connection((host.decode(), int(port))) as upstream:
            upstream.sendall(b" ".join((method, slash + path, version)) + b"\r\n" + rest)
            forward(upstream, conn, holds)

    with serving(script) as server:
        yield server


def forward(upstream: socket.socket, conn: socket.socket, holds: bool) -> None:
    held = b""
    while not held.endswith(LAST_CHUNK):
        data = upstream.recv(65536)
        if not data:
            break
        held = (held + data)[-(1 << 20) :]
        if not holds:
            conn.sendall(data)
    if holds:
        with suppress(OSError):
            conn.sendall(held)


def check(origin: Server, *options: str) -> CompletedCommand:
    return invoke("check", origin.url(), "--model", "m", "--json", *options)


def findings(ran: CompletedCommand) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in ran.json["findings"] if one["severity"] != "info"}


@pytest.fixture
def origin() -> Iterator[Server]:
    with serving(stream) as server:
        yield server


def test_a_proxy_that_holds_is_named_and_a_direct_request_proves_it(origin: Server) -> None:
    with http_proxy(holds=True) as proxy:
        ran = check(origin, "--proxy", proxy.url(""))
    report, found = ran.json, findings(ran)
    name = f"http://127.0.0.1:{proxy.port}"
    assert (ran.code, report["verdict"]) == (1, "held-to-end")
    assert report["hops"][0]["proxy"] == name
    assert name in found["UD116"]["message"]
    assert found["UD101"]["fix"]["where"] == "your proxy"
    assert [one["name"] for one in report["suspects"]] == [f"proxy {name}"]
    (direct,) = [one for one in report["experiments"] if one["name"] == "without-proxy"]
    assert direct["result"].startswith("streaming")


def test_a_socks_proxy_that_holds_is_named_as_well(origin: Server) -> None:
    with socks_server(SocksBehaviour(hold_s=WHOLE_S)) as proxy:
        ran = check(origin, "--proxy", f"socks5://127.0.0.1:{proxy.port}")
    assert "UD116" in findings(ran)
    assert ran.json["suspects"][0]["name"] == f"proxy socks5://127.0.0.1:{proxy.port}"


def test_a_proxy_that_streams_is_shown_and_not_accused(origin: Server) -> None:
    with http_proxy(holds=False) as proxy:
        ran = check(origin, "--proxy", proxy.url(""))
    assert (ran.code, ran.json["verdict"]) == (0, "streaming")
    assert ran.json["hops"][0]["proxy"] == f"http://127.0.0.1:{proxy.port}"
    assert not [one for one in ran.json["experiments"] if one["name"] == "without-proxy"]


def test_a_hold_of_the_server_is_not_blamed_on_the_proxy() -> None:
    def collected(conn: socket.socket, _: bytes) -> None:
        time.sleep(COUNT * GAP_S)
        conn.sendall(head() + chunk(token() * COUNT + DONE) + LAST_CHUNK)

    with serving(collected) as server, http_proxy(holds=False) as proxy:
        ran = check(server, "--proxy", proxy.url(""))
    assert "UD116" not in findings(ran)
    assert ran.json["suspects"][0]["name"] == "application"


def test_a_hop_inside_is_asked_directly_unless_the_user_wants_otherwise(origin: Server) -> None:
    hop = f"direct={origin.url()}"
    with http_proxy(holds=True) as proxy:
        ran = check(origin, "--proxy", proxy.url(""), "--hop", hop)
        verdicts = {one["name"]: (one["verdict"], one["proxy"]) for one in ran.json["hops"]}
        assert verdicts["direct"] == ("streaming", None)
        assert verdicts["edge"][0] == "held-to-end"
        ran = check(
            origin, "--proxy", proxy.url(""), "--hop", hop, "--proxy-hops", "--no-experiments"
        )
    assert {one["verdict"] for one in ran.json["hops"]} == {"held-to-end"}
    assert ran.json["experiments"] == []
    assert "UD116" not in findings(ran)


def test_the_proxy_of_the_environment_is_a_hop_as_well(origin: Server) -> None:
    with http_proxy(holds=True) as proxy:
        url = origin.url().replace("127.0.0.1", "held.undam.test")
        env = {"HTTP_PROXY": f"http://me:hunter22@127.0.0.1:{proxy.port}"}
        resolving = ResolvingProxy(proxy.port)
        env["HTTP_PROXY"] = f"http://me:hunter22@127.0.0.1:{resolving.port}"
        ran = run_undam("check", url, "--model", "m", "--json", env=env)
        resolving.close()
    (name,) = {one["proxy"] for one in ran.json["hops"]}
    assert name == f"http://127.0.0.1:{resolving.port} (HTTP_PROXY)"
    # The host name cannot be resolved on this machine, so no direct request is possible.
    assert ran.json["suspects"][0]["name"] == f"proxy {name}"
    assert "no direct request was possible" in ran.json["suspects"][0]["evidence"][0]
    assert "hunter22" not in ran.out


class ResolvingProxy:
    """Relay in front of the proxy that replaces the test's host name with an address."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._to = port
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                conn, _ = self._listener.accept()
                with conn, socket.create_connection(("127.0.0.1", self._to)) as upstream:
                    request = conn.recv(65536)
                    while b"\r\n\r\n" not in request:
                        request += conn.recv(65536)
                    upstream.sendall(request.replace(b"held.undam.test", b"127.0.0.1"))
                    while data := upstream.recv(65536):
                        conn.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
