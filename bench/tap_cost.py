"""Cost of `undam tap`: live with 200 streams of 50 events/s, and offline compared with tshark.

Live: ordinary clients read the streams of a simulated model through nginx, and the packets of both
sides are captured in another process. The kernel's scheduler accounts its CPU time, so other
programs on the machine do not affect it.

Offline: the same file of a million packets is read by `undam tap -r` and by
`tshark -q -z io,stat,0`. The file has streams on both sides of a proxy; acknowledgements are a
third of its packets, as in a capture of tcpdump.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench.machine import run_and_wait_s
from bench.progress import Progress
from undam.lab.origin import Origin
from undam.lab.proxies import Missing, start_nginx
from undam.tap.capture.capture_file import RAW_IP, CaptureWriter, Packet

STREAMS = 200
EVENTS_PER_S = 50
LIVE_S = 20
MAX_SHARE = 0.35
"""Goal for the share of one core, live."""
PACKETS = 1_000_000
MAX_RATIO = 2.0
"""Goal for the CPU time relative to tshark."""
_MB = 1 << 20
_EVENTS_PER_STREAM = 500
_CONCURRENT = 50
_PACKETS_PER_EVENT = 3
_EVENT = (
    b'data: {"id":"chatcmpl-%07d","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"m-8b","choices":[{"index":0,"delta":{"content":" token%03d"},"finish_reason":null}]}'
    b"\n\n"
)


def run() -> list[str]:
    """Return result lines for the live part and the offline part."""
    progress = Progress(3)
    return [*_measure_live(), *_measure_offline(progress)]


def _measure_live() -> list[str]:
    tokens = LIVE_S * EVENTS_PER_S
    model = ("--ttft", "200", "--gap", str(1000 // EVENTS_PER_S), "--tokens", str(tokens))
    try:
        with Origin(*model) as origin, start_nginx(
            origin.url, location="proxy_buffering off;", http="keepalive_requests 1;"
        ) as nginx:  # fmt: skip
            return [_tap_live(nginx.url, origin.url)]
    except Missing as error:
        return [f"live: skipped; {error}"]


def _tap_live(url: str, origin: str) -> str:
    ports = [option for one in (url, origin) for option in ("--port", str(urlsplit(one).port))]
    command = [sys.executable, "-m", "undam", "tap", "-i", "lo", *ports, "--json"]
    children_s = _children_s()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tap:
        time.sleep(2.0)
        before_s, waited_s = run_and_wait_s(tap.pid)
        start_s = time.monotonic()
        events = _read_streams(url)
        elapsed_s = time.monotonic() - start_s
        cpu_s, wait_s = run_and_wait_s(tap.pid)
        cpu_s, wait_s = cpu_s - before_s, wait_s - waited_s
        peak_mb = _peak_mb(tap.pid)
        tap.send_signal(signal.SIGINT)
        out, errors = tap.communicate(timeout=120)
    total_s = _children_s() - children_s
    if not out:
        return f"live: could not capture: {errors.decode().strip()}"
    row = json.loads(out)
    share = cpu_s / elapsed_s
    goal = "at most" if share <= MAX_SHARE else "ABOVE"
    return (
        f"live: {STREAMS} streams, {events / elapsed_s:,.0f} events/s on each side,"
        f" {row['packets']:,} packets, {row['lost']} lost; {share:.0%} of one core"
        f" ({goal} {MAX_SHARE:.0%}), {cpu_s / row['packets'] * 1e6:.1f} us per packet;"
        f" it waited for a core {wait_s / elapsed_s:.0%} of the time;"
        f" {total_s - cpu_s:.1f} s of CPU for start and analysis; peak memory {peak_mb:.0f} MB"
    )


def _children_s() -> float:
    """Return the CPU time of all child processes that have exited."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _read_streams(url: str) -> int:
    """Read all streams to their end in one client; return the number of events."""
    parts, events = urlsplit(url), 0
    body = b'{"stream":true,"messages":[{"role":"user","content":"hi"}]}'
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    with selectors.DefaultSelector() as selector:
        for _ in range(STREAMS):
            client = socket.create_connection((parts.hostname or "", parts.port or 80))
            client.sendall(request)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(1 << 16)
                events += data.count(b"data: {")
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return events


def _measure_offline(progress: Progress) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        half, whole = Path(folder) / "half.pcapng", Path(folder) / "whole.pcapng"
        _write_capture(half, PACKETS // 2)
        _write_capture(whole, PACKETS)
        progress.finish_round(f"{whole.stat().st_size / _MB:.0f} MB written")
        tap = [sys.executable, "-m", "undam", "tap", "--json", "-r"]
        _, half_mb, _ = _run([*tap, str(half)])
        tap_s, tap_mb, out = _run([*tap, str(whole)])
        row = json.loads(out)
        progress.finish_round(f"undam tap: {tap_s:.1f} s CPU")
        text = (
            f"offline: {row['packets']:,} packets, {row['streams']} streams:"
            f" {tap_s:.1f} s CPU, {tap_s / row['packets'] * 1e6:.1f} us per packet;"
            f" peak memory {tap_mb:.0f} MB, {half_mb:.0f} MB for half of the packets"
        )
        program = shutil.which("tshark")
        if program is None:
            return [text, "offline: tshark is not installed, so there is no ratio"]
        shark_s, shark_mb, _ = _run([program, "-q", "-z", "io,stat,0", "-r", str(whole)])
        progress.finish_round(f"tshark: {shark_s:.1f} s CPU")
        ratio = tap_s / shark_s
        goal = "at most" if ratio <= MAX_RATIO else "ABOVE"
        shark = f"tshark {shark_s:.1f} s CPU, {shark_mb:.0f} MB"
        return [text, f"offline: {shark}; ratio {ratio:.2f} ({goal} {MAX_RATIO})"]


def _run(command: list[str]) -> tuple[float, float, bytes]:
    """Return CPU seconds, peak memory in MB and standard output of a command."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read()


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _write_capture(path: Path, packets: int) -> None:
    """Write a capture with streams on both sides of a proxy; some streams are concurrent."""
    rounds = max(1, packets // (2 * _CONCURRENT * _EVENTS_PER_STREAM * _PACKETS_PER_EVENT // 2))
    with path.open("wb") as file:
        writer = CaptureWriter(file, RAW_IP)
        start_ns = 1_790_000_000 * 10**9
        for number in range(rounds):
            for packet in _streams(number, start_ns):
                writer.write(packet)
            start_ns += (_EVENTS_PER_STREAM + 20) * 20_000_000


def _streams(number: int, start_ns: int) -> Iterator[Packet]:
    """Yield the packets of several concurrent streams in chronological order."""
    sides = [
        (_Connection(1, 2, 10000 + at, 8080), _Connection(2, 3, 30000 + at, 9000))
        for at in range(_CONCURRENT)
    ]
    for at, pair in enumerate(sides):
        for side, connection in enumerate(pair):
            now = start_ns + at * 1000 + side * 500
            yield from connection.open(now, number * _CONCURRENT + at)
    for event in range(_EVENTS_PER_STREAM):
        for at, pair in enumerate(sides):
            data = _EVENT % (number * _CONCURRENT + at, event)
            now = start_ns + (event + 10) * 20_000_000 + at * 300_000
            for side, connection in enumerate(reversed(pair)):
                yield from connection.send(
                    now + side * 200_000, b"%x\r\n%b\r\n" % (len(data), data)
                )
    for at, pair in enumerate(sides):
        for connection in reversed(pair):
            yield from connection.close(
                start_ns + (_EVENTS_PER_STREAM + 15) * 20_000_000 + at * 1000
            )


class _Connection:
    """TCP connection between two hosts in 10.0.0.0/24."""

    def __init__(self, client: int, server: int, client_port: int, server_port: int) -> None:
        self._ends = ((client, client_port), (server, server_port))
        self._seqs = [1000, 2000]
        self._ident = 0

    def open(self, at_ns: int, number: int) -> Iterator[Packet]:
        body = b'{"stream":true,"messages":[{"role":"user","content":"question %d"}]}' % number
        yield self._packet(at_ns, 0, 2)
        yield self._packet(at_ns, 1, 18)
        yield self._packet(
            at_ns, 0, 24,
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body),
        )  # fmt: skip
        yield self._packet(
            at_ns + 5_000_000, 1, 24,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
        )  # fmt: skip

    def send(self, at_ns: int, data: bytes) -> Iterator[Packet]:
        """Yield packets from the server, with an acknowledgement after every second packet."""
        yield self._packet(at_ns, 1, 24, data)
        if self._ident % _PACKETS_PER_EVENT:
            yield self._packet(at_ns + 30_000, 0, 16)

    def close(self, at_ns: int) -> Iterator[Packet]:
        yield self._packet(at_ns, 1, 24, b"0\r\n\r\n")
        yield self._packet(at_ns, 1, 17)
        yield self._packet(at_ns, 0, 17)

    def _packet(self, at_ns: int, side: int, flags: int, data: bytes = b"") -> Packet:
        (source, source_port), (target, target_port) = self._ends[side], self._ends[1 - side]
        self._ident = self._ident % 65535 + 1
        packet = struct.pack(
            ">BBHHHBBH4B4BHHIIBBHHH", 0x45, 0, 40 + len(data), self._ident, 0x4000, 64, 6, 0,
            10, 0, 0, source, 10, 0, 0, target, source_port, target_port, self._seqs[side],
            self._seqs[1 - side], 80, flags, 512, 0, 0,
        ) + data  # fmt: skip
        self._seqs[side] += len(data) + bool(flags & 3)
        return Packet(at_ns, RAW_IP, packet, len(packet))
