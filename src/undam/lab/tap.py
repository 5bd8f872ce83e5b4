"""Experiment: `undam tap` detects, without sending requests, that a real nginx holds streams.

Ordinary clients read streams of a simulated model through nginx. Meanwhile the packets on both
sides of nginx are captured on the loopback interface and analyzed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from undam.lab.origin import Origin
from undam.lab.proxies import start_nginx
from undam.lab.readers import read_together
from undam.tap.capture.live import LiveCapture
from undam.tap.processes import processes_of
from undam.tap.session import TapSession
from undam.wire import Request

CLIENTS = 20
TOKENS = 100
SETUPS = ("", "proxy_buffering off;")
"""Directives of the location in nginx: the default, and the fix."""

_MODEL = ("--ttft", "200", "--gap", "25", "--seed", "7")
_SPREAD_S = 0.5
_TIMEOUT_S = 30.0
_POLL_S = 0.1
# The kernel delivers a block of packets after 50 ms.
_LAST_PACKETS_S = 0.3


@dataclass(frozen=True, slots=True)
class TapExperiment:
    """Analysis of the traffic through nginx with one configuration.

    Args:
        location: directives of the location.
        proxy: name and version of nginx.
        failed: clients that received no token.
    """

    location: str
    proxy: str
    session: TapSession
    failed: int


def run_tap_experiment(location: str) -> TapExperiment:
    """Capture the streams of some clients through nginx. This takes about 4 seconds.

    Raises:
        UsageError: this user may not capture packets.
        Missing: nginx is not installed.
    """
    with Origin(*_MODEL) as origin, start_nginx(origin.url, location=location) as nginx:
        ports = [_port(nginx.url), _port(origin.url)]
        with _capturing(ports) as session:
            times = asyncio.run(
                read_together(
                    [_request(nginx.url, number) for number in range(CLIENTS)],
                    spread_s=_SPREAD_S,
                    timeout_s=_TIMEOUT_S,
                    ended=_ignore,
                )
            )
        for address, name in processes_of(session.proxies).items():
            session.proxies[address].process = name
        return TapExperiment(location, f"{nginx.name} {nginx.version}", session, times.failed)


@contextmanager
def _capturing(ports: list[int]) -> Iterator[TapSession]:
    """Capture packets during the ``with`` block; the session is complete when the block ends."""
    session = TapSession(ports)
    stop = threading.Event()
    with contextlib.closing(LiveCapture(["lo"], ports)) as capture:

        def read() -> None:
            while not stop.is_set():
                for packet in capture.packets(_POLL_S):
                    session.receive_packet(packet)

        thread = threading.Thread(target=read, name="undam-lab-tap")
        thread.start()
        try:
            yield session
        finally:
            stop.wait(_LAST_PACKETS_S)
            stop.set()
            thread.join()
        session.stats.dropped = capture.count_drops()
    session.finish()


def _request(url: str, number: int) -> Request:
    body = {"model": "sim", "messages": [{"role": "user", "content": f"{number}"}], "stream": True}
    return Request(
        url=f"{url}/v1/chat/completions?tokens={TOKENS}",
        method="POST",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps(body).encode(),
    )


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _ignore() -> None:
    """Ignore the end of a stream."""
