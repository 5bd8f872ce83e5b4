"""Each real proxy starts on a free port, forwards a request, and leaves nothing behind."""

from __future__ import annotations

import functools
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from undam.lab.proxies import (
    STARTERS,
    RunningProxy,
    start_apache,
    start_caddy,
    start_envoy,
    start_haproxy,
    start_lighttpd,
    start_nginx,
    start_node,
    start_squid,
    start_trafficserver,
    start_varnish,
)

RunProxy = Callable[..., RunningProxy]

_LUA = 'function envoy_on_response(response) response:headers():add("x-lua", "1") end'

# Each option is used once, and the proxy must accept the resulting configuration.
TURNED = {
    "nginx": functools.partial(
        start_nginx,
        location="proxy_buffering off;\nproxy_http_version 1.1;\nproxy_read_timeout 3s;",
        http="gzip on;\ngzip_types text/event-stream;",
    ),
    "haproxy": functools.partial(
        start_haproxy,
        options="option http-no-delay\ncompression algo gzip\ncompression type text/event-stream",
        timeout_server="3s",
    ),
    "haproxy-tcp": functools.partial(start_haproxy, mode="tcp"),
    "envoy": functools.partial(
        start_envoy, route_timeout="3s", stream_idle_timeout="2s", gzip=True, lua=_LUA
    ),
    "apache": functools.partial(
        start_apache, extra="SetOutputFilter DEFLATE", proxy_pass="flushpackets=on timeout=3"
    ),
    "caddy": functools.partial(start_caddy, extra="encode gzip", reverse_proxy="flush_interval -1"),
    "lighttpd-0": functools.partial(start_lighttpd, stream_response_body=0),
    "lighttpd-2": functools.partial(
        start_lighttpd, stream_response_body=2, extra='server.tag = "edge"'
    ),
    "varnish": functools.partial(
        start_varnish,
        vcl_response="set beresp.do_stream = false;",
        vcl_recv="return (pass);",
    ),
    "squid": functools.partial(start_squid, extra="read_timeout 3 seconds"),
    "trafficserver-held": functools.partial(start_trafficserver, compress_flush=False),
    "trafficserver-flushed": functools.partial(start_trafficserver, compress_flush=True),
    "node-compression": functools.partial(start_node, app="compression"),
    "node-compression-flush": functools.partial(start_node, app="compression-flush"),
    "node-compression-flush-before": functools.partial(start_node, app="compression-flush-before"),
    "node-http-proxy": functools.partial(start_node, app="http-proxy"),
    "node-http-proxy-middleware": functools.partial(start_node, app="http-proxy-middleware"),
}


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"hello {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name in the base class
        """Log nothing; the inherited method writes to standard error."""


@pytest.fixture
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("start", STARTERS, ids=lambda start: start.__name__)
def test_starts_forwards_and_leaves_nothing(
    start: Callable[[str], RunningProxy], upstream: str, run_proxy: RunProxy
) -> None:
    proxy = run_proxy(start, upstream)
    assert _get(proxy) == b"hello /some/path?n=1"
    assert proxy.version != "unknown"
    assert proxy.config
    assert _processes_of(proxy)
    assert proxy.directory.is_dir()
    proxy.stop()
    assert _processes_of(proxy) == []
    assert not proxy.directory.exists()


@pytest.mark.parametrize("name", TURNED)
def test_the_program_accepts_each_option(name: str, upstream: str, run_proxy: RunProxy) -> None:
    assert _get(run_proxy(TURNED[name], upstream)) == b"hello /some/path?n=1"


def test_proxies_are_chained_by_nesting(upstream: str, run_proxy: RunProxy) -> None:
    inner = run_proxy(start_nginx, upstream)
    outer = run_proxy(start_nginx, inner.url)
    assert _get(outer) == b"hello /some/path?n=1"
    inner.stop()
    assert b"502" in _get(outer)


def _get(proxy: RunningProxy) -> bytes:
    address = urlsplit(proxy.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request("GET", "/some/path?n=1")
        return connection.getresponse().read()
    finally:
        connection.close()


def _processes_of(proxy: RunningProxy) -> list[str]:
    """Return the command lines of all processes in the proxy's session or directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:  # the process exited after it was listed
            continue
        state, _, _, session = stat.rpartition(")")[2].split()[:4]
        mine = int(session) == proxy.pid or str(proxy.directory) in command
        if mine and state != "Z":
            found.append(command.replace("\0", " "))
    return found
