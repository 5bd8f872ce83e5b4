"""Client that reads many streams in one epoll loop and records each token's arrival time.

Arrival times are kernel timestamps, so a late read does not affect them.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench import machine
from bench.gateway_events import END, SEND_TIME, request

_SO_TIMESTAMPNS = 35
_READ_BYTES = 1 << 16
_ANCILLARY_BYTES = 64
_SAMPLE_S = 0.1


@dataclass
class Window:
    """Measurements for the tokens that arrived in one time window.

    Attributes:
        ttft: from the request to the first content, in ms.
        delay: from send to arrival of each token, in ms.
        tokens: number of tokens.
        broken: number of streams that failed.
    """

    ttft: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)
    tokens: int = 0
    broken: int = 0


class _Reader:
    __slots__ = ("sent_ns", "sock", "tail", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent_ns = 0
        self.waiting = False
        self.tail = b""


class StreamLoad:
    """Closed-loop load. Each stream sends its next request on the same connection.

    Args:
        url: ``http://127.0.0.1:PORT``.
        tokens: number of tokens per response.
        spread_s: time span of the start times.
        in_step: whether start times are evenly spaced. The spacing and the gaps then have a common
            divisor, so that tokens of many streams coincide, like those of an engine's batch.
            Otherwise start times are random.
    """

    def __init__(
        self,
        url: str,
        streams: int,
        *,
        tokens: int,
        gap_ms: int,
        spread_s: float = 0.5,
        in_step: bool = False,
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._request = request(tokens, gap_ms)
        rng = random.Random(streams)
        fractions = [number / streams if in_step else rng.random() for number in range(streams)]
        self._starts_s = sorted(fraction * spread_s for fraction in fractions)
        self._readers: dict[int, _Reader] = {}
        self._epoll = select.epoll()

    def __enter__(self) -> StreamLoad:
        start = time.monotonic()
        for offset_s in self._starts_s:
            self.read(max(0.0, start + offset_s - time.monotonic()))
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.sock.close()
        self._epoll.close()
        time.sleep(0.2)

    def read(self, seconds: float) -> Window:
        """Read for ``seconds``."""
        window = Window()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for number, _ in self._epoll.poll(min(left, 0.05)):
                self._receive(self._readers[number], window)
        return window

    def read_undisturbed(self, seconds: float) -> tuple[Window, float]:
        """Read for ``seconds`` and discard the samples taken close to CPU steal.

        Samples are 100 ms long. With CPU steal in one of them, the previous one is also discarded,
        because the kernel updates the counter late, and so is the next one, in which delayed data
        is sent.

        Returns:
            The remaining samples, and their fraction of the time.
        """
        samples, steal_s = [], [machine.steal_s()]
        for _ in range(round(seconds / _SAMPLE_S)):
            samples.append(self.read(_SAMPLE_S))
            steal_s.append(machine.steal_s())
        kept = [
            sample
            for number, sample in enumerate(samples)
            if steal_s[max(0, number - 1)] == steal_s[min(number + 2, len(samples))]
        ]
        window = Window(
            ttft=[value for sample in kept for value in sample.ttft],
            delay=[value for sample in kept for value in sample.delay],
            tokens=sum(sample.tokens for sample in kept),
            # CPU steal does not make a stream fail, so failures in discarded samples count as well.
            broken=sum(sample.broken for sample in samples),
        )
        return window, len(kept) / len(samples)

    def _open(self) -> None:
        sock = socket.create_connection(self._address, timeout=10)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        reader = self._readers[sock.fileno()] = _Reader(sock)
        self._epoll.register(sock, select.EPOLLIN)
        self._send_request(reader)

    def _send_request(self, reader: _Reader) -> None:
        reader.sent_ns = time.time_ns()
        reader.waiting = True
        reader.sock.send(self._request)

    def _replace(self, reader: _Reader, window: Window) -> None:
        """Count a failed stream and open another one."""
        window.broken += 1
        self._epoll.unregister(reader.sock)
        del self._readers[reader.sock.fileno()]
        reader.sock.close()
        with contextlib.suppress(OSError):
            self._open()

    def _receive(self, reader: _Reader, window: Window) -> None:
        try:
            data, ancillary, _, _ = reader.sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._replace(reader, window)
            return
        at_ns = time.time_ns()
        for _, kind, value in ancillary:
            if kind == _SO_TIMESTAMPNS:
                second, nano = struct.unpack("qq", value)
                at_ns = second * 10**9 + nano
        send_times = SEND_TIME.findall(data)
        if send_times:
            window.tokens += len(send_times)
            window.delay.extend((at_ns - int(sent_ns)) / 1e6 for sent_ns in send_times)
            if reader.waiting:
                reader.waiting = False
                window.ttft.append((at_ns - reader.sent_ns) / 1e6)
        reader.tail = (reader.tail + data)[-len(END) :]
        if reader.tail == END:
            reader.tail = b""
            self._send_request(reader)
