"""`undam tap` on real proxies: live captures and capture files, without requests by undam."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import trustme

from support.eventually import eventually
from support.live import RunProxy, Simulator, quantile
from support.undam_command import command_line, environment, run_undam
from undam.lab.proxies import (
    RunningProxy,
    start_caddy,
    start_envoy,
    start_haproxy,
    start_lighttpd,
    start_nginx,
)
from undam.tap.capture.capture_file import RAW_IP, CaptureReader, CaptureWriter
from undam.tap.session import TapSession

CLIENTS = 20

CASES: dict[str, tuple[Callable[..., RunningProxy], str, set[str]]] = {
    "nginx": (start_nginx, "batched", {"UD102"}),
    "nginx-unbuffered": (partial(start_nginx, location="proxy_buffering off;"), "streaming", set()),
    "haproxy": (start_haproxy, "batched", {"UD103"}),
    "haproxy-no-delay": (
        partial(start_haproxy, options="option http-no-delay"), "streaming", set(),
    ),
    "envoy": (start_envoy, "streaming", set()),
    "lighttpd": (start_lighttpd, "held-to-end", {"UD101"}),
    "caddy": (start_caddy, "streaming", set()),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _needs_raw_sockets() -> None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except (AttributeError, OSError):
        pytest.skip("live capture needs CAP_NET_RAW")


@contextmanager
def tapping(*arguments: str, within: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``undam tap`` during the block; the output is complete after the block.

    Args:
        within: command that runs it, such as ``ip netns exec NAME``.
    """
    process = subprocess.Popen(
        (*within, *command_line("tap", *arguments)), env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        eventually(lambda: has_packet_socket(process.pid), 40)
        time.sleep(0.5)  # wait until the packet ring is attached to the socket
        yield process
        time.sleep(0.5)
    finally:
        process.terminate()


def has_packet_socket(pid: int) -> bool:
    """Return whether the process ``pid`` has opened a packet socket."""
    try:
        lines = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
        links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(f"socket:[{line.split()[-1]}]" in links for line in lines)


def read_streams(url: str, count: int, context: ssl.SSLContext | None = None) -> None:
    """Read ``count`` streams concurrently with an ordinary HTTP client."""

    def read(number: int) -> None:
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": f"{number}"}]})
        request = Request(url + "/v1/chat/completions?gap=10", body.encode())
        with urlopen(request, timeout=60, context=context) as response:
            response.read()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def test_lab_tap_finds_the_hold_of_nginx_and_confirms_the_fix() -> None:
    held, fixed = (row["tap"] for row in run_undam("lab", "tap", "--json").json["rows"])
    assert (held["proxies"][0]["verdict"], held["lost"]) == ("batched", 0)
    assert "UD102" in {one["code"] for one in held["findings"]}
    assert (fixed["proxies"][0]["verdict"], fixed["proxies"][0]["streams"]) == ("streaming", 20)


@pytest.mark.parametrize("name", CASES)
def test_live_capture_and_file_find_what_the_proxy_does(
    name: str, model: Simulator, run_proxy: RunProxy, tmp_path: Path
) -> None:
    start, verdict, codes = CASES[name]
    proxy = run_proxy(start, model.url)
    saved = tmp_path / "saved.pcapng"
    ports = ("--port", str(port_of(proxy.url)), "--port", str(port_of(model.url)))
    with tapping(*ports, "-w", str(saved), "--json") as process:
        read_streams(proxy.url, CLIENTS)
    out, err = process.communicate(timeout=60)
    live = json.loads(out)
    assert err == b""
    assert live["lost"] == 0
    for result in (live, json.loads(run_undam("tap", "-r", str(saved), "--json").out)):
        (found,) = [
            one for one in result["proxies"] if one["address"].endswith(f":{port_of(proxy.url)}")
        ]
        assert (found["streams"], found["verdict"]) == (CLIENTS, verdict)
        holds = {one["code"] for one in result["findings"] if one["severity"] == "error"}
        assert codes <= holds
        assert bool(codes) == bool(holds), holds
    assert live["proxies"][0]["process"]
    assert_times_are_true(saved, model)


def assert_times_are_true(saved: Path, model: Simulator) -> None:
    """Compare event times on the origin's side of the proxy with the simulator's ground truth."""
    session = TapSession([port_of(model.url)])
    with saved.open("rb") as file:
        for packet in CaptureReader(file, saved.name):
            session.receive_packet(packet)
    session.table.finish()
    errors: list[float] = []
    for stream in session.table.take_finished() + session._waiting:
        ident = (stream.head.get("undam-beacon") or "").partition(";")[0].removeprefix("id=")
        sent = model.events(ident)
        body = b""
        for arrival in stream.arrivals:
            body += arrival.data
            *whole, body = body.split(b"\n\n")
            for event in whole:
                if event.startswith(b"data: {"):
                    seq = json.loads(event.removeprefix(b"data: "))["undam"]["seq"]
                    errors.append((arrival.at_ns - sent[seq]["left_ns"]) / 1e6)
    assert len(errors) > 100 * CLIENTS
    # The captured time of an event is during or shortly after the simulator's system call.
    assert abs(quantile(errors, 0.5)) < 2


TLS_SERVER = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    location / {{ proxy_pass {upstream}; {location} }}
}}
"""
TLS_CASES = {
    "held": ("", "batched"),
    "free": ("proxy_buffering off;", "streaming"),
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", TLS_CASES)
def test_a_side_with_tls_is_estimated_and_exact_with_the_key_log(
    name: str,
    version: ssl.TLSVersion,
    model: Simulator,
    run_proxy: RunProxy,
    tmp_path: Path,
) -> None:
    location, verdict = TLS_CASES[name]
    ca, port = trustme.CA(), free_port()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "nginx.pem")
    run_proxy(start_nginx, model.url, http=TLS_SERVER.format(
        port=port, pem=tmp_path / "nginx.pem", upstream=model.url, location=location
    ))  # fmt: skip
    saved, keys = tmp_path / "saved.pcapng", tmp_path / "keys.log"
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.minimum_version = context.maximum_version = version
    context.keylog_filename = str(keys)
    ports = ("--port", str(port), "--port", str(port_of(model.url)))
    # Bodies are kept, to compare the text of the plaintext side with that of the TLS side.
    with tapping(*ports, "-w", str(saved), "--keep-bodies", "--json") as process:
        read_streams(f"https://localhost:{port}", 5, context)
    estimated = json.loads(process.communicate(timeout=60)[0])
    (found,) = estimated["proxies"]
    assert (found["verdict"], found["estimated"], found["streams"]) == (verdict, True, 5)
    exact = run_undam("tap", "-r", str(saved), "--keylog", str(keys), "--json").json
    (found,) = exact["proxies"]
    assert (found["verdict"], found["estimated"], found["streams"]) == (verdict, False, 5)
    assert found["integrity"]["lost"] == 0


def test_http2_between_two_proxies_is_decoded(model: Simulator, run_proxy: RunProxy) -> None:
    near, far = "option http-no-delay\ndefault-server proto h2", "option http-no-delay"
    port = free_port()
    run_proxy(start_haproxy, model.url, options=f"{far}\nbind 127.0.0.1:{port} proto h2")
    proxy = run_proxy(start_haproxy, f"http://127.0.0.1:{port}", options=near)
    ports = (port_of(proxy.url), port, port_of(model.url))
    options = [option for one in ports for option in ("--port", str(one))]
    with tapping(*options, "--json") as process:
        read_streams(proxy.url, 5)
    result = json.loads(process.communicate(timeout=60)[0])
    assert result["connections_not_decoded"] == {"tls": 0, "http2": 0}
    found = {one["address"]: one for one in result["proxies"]}
    assert set(found) == {f"127.0.0.1:{ports[0]}", f"127.0.0.1:{port}"}
    for one in found.values():
        assert (one["streams"], one["verdict"], one["integrity"]["streams"]) == (5, "streaming", 5)
        assert not [
            one["integrity"][kind] for kind in ("lost", "altered") if one["integrity"][kind]
        ]


@pytest.fixture
def namespace() -> Iterator[str]:
    """Create a namespace with 10.213.0.2; ``undam0`` in the current namespace gets 10.213.0.1."""
    name = f"undam{os.getpid()}"

    def ip(*arguments: str) -> None:
        subprocess.run(("ip", *arguments), check=True, capture_output=True)

    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not available here: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", "undam0", "type", "veth", "peer", "name", "undam1", "netns", name)
        ip("addr", "add", "10.213.0.1/24", "dev", "undam0")
        ip("link", "set", "undam0", "up")
        ip("netns", "exec", name, "ip", "addr", "add", "10.213.0.2/24", "dev", "undam1")
        ip("netns", "exec", name, "ip", "link", "set", "undam1", "up")
        yield name
    finally:
        ip("netns", "del", name)


def test_a_proxy_in_another_namespace_is_found_also_from_two_files_with_different_clocks(
    simulator: Callable[..., Simulator], namespace: str, tmp_path: Path
) -> None:
    model = simulator("--host", "10.213.0.1")
    relay, near, far = (tmp_path / one for one in ("relay.py", "near.pcapng", "far.pcapng"))
    relay.write_text(HOLDING_RELAY)
    within = ("ip", "netns", "exec", namespace)
    command = (*within, sys.executable, str(relay), model.url)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        keep = ("--keep-bodies", "--json", "-w")
        port = str(port_of(model.url))
        with (
            tapping("-i", "undam1", *keep, str(near), within=within) as process,
            tapping("-i", "undam0", "--port", port, *keep, str(far)) as other,
        ):
            read_streams("http://10.213.0.2:8080", 3)
        (alone,) = json.loads(process.communicate(timeout=60)[0])["proxies"]
        other.communicate(timeout=60)
        running.terminate()
    assert (alone["address"], alone["verdict"]) == ("10.213.0.2:8080", "held-to-end")
    assert alone["streams"] == 3
    for offset_ms in (-4321.5, 0.0, 87_000.25):
        shifted = tmp_path / "shifted.pcapng"
        shift_times(far, shifted, offset_ms)
        row = run_undam("tap", "-r", str(near), "-r", str(shifted), "--json").json
        (clock,), (both,) = row["clocks"], row["proxies"]
        error_ms = clock["uncertainty_ms"]
        assert abs(clock["offset_ms"] - offset_ms) <= error_ms + 0.001
        assert error_ms < 5
        assert (both["verdict"], both["streams"]) == ("held-to-end", 3)
        for name in ("p50", "max"):
            # Packets get timestamps at both ends of the link, which differ by the link's delay.
            assert abs(both["hold_ms"][name] - alone["hold_ms"][name]) <= 2 * error_ms + 0.1


def shift_times(source: Path, target: Path, offset_ms: float) -> None:
    """Copy a capture as if the capturing host's clock were ahead or behind."""
    with source.open("rb") as file, target.open("wb") as out:
        writer = CaptureWriter(out, RAW_IP)
        for packet in CaptureReader(file, source.name):
            writer.write(packet._replace(at_ns=packet.at_ns + round(offset_ms * 1e6)))


HOLDING_RELAY = """
import http.server, sys, urllib.request

class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with urllib.request.urlopen(sys.argv[1] + self.path, body) as answer:
            data = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("10.213.0.2", 8080), Relay)
print("ready", flush=True)
server.serve_forever()
"""
