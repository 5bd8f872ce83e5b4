"""Many streams read in one epoll loop: when each first content and each token arrived, by the
kernel's stamps, so that this program's own lateness is in no figure."""

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
from bench.gateway_events import END, STAMP, request

_SO_TIMESTAMPNS = 35
_READ_BYTES = 1 << 16
_ANCILLARY_BYTES = 64
_SLICE_S = 0.1


@dataclass
class TimedEvent:
    """What came in one window. Milliseconds; ``ttft`` counts from the moment of asking."""

    ttft: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)
    tokens: int = 0
    broken: int = 0


class _Reader:
    __slots__ = ("asked_ns", "sock", "tail", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.asked_ns = 0
        self.waiting = False
        self.tail = b""


class Load:
    """Streams kept open, each asking anew on its connection when its answer is over.

    Args:
        url: ``http://127.0.0.1:PORT``.
        tokens: of each answer.
        spread_s: the starts fall into so long.
        in_step: they are evenly spaced. As the spacing and the tokens' interval have a common
            measure, the tokens come in a few clumps, like those of an engine's batches; else each
            stream has a moment of its own.
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
        chance = random.Random(streams)
        shares = [number / streams if in_step else chance.random() for number in range(streams)]
        self._starts_s = sorted(share * spread_s for share in shares)
        self._readers: dict[int, _Reader] = {}
        self._epoll = select.epoll()

    def __enter__(self) -> Load:
        begun = time.monotonic()
        for start_s in self._starts_s:
            self.read(max(0.0, begun + start_s - time.monotonic()))
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.sock.close()
        self._epoll.close()
        time.sleep(0.2)

    def read(self, seconds: float) -> TimedEvent:
        """Read for so long."""
        seen = TimedEvent()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for number, _ in self._epoll.poll(min(left, 0.05)):
                self._receive(self._readers[number], seen)
        return seen

    def read_undisturbed(self, seconds: float) -> tuple[TimedEvent, float]:
        """Read for so long, and leave out what the hypervisor disturbed.

        That is what came in a tenth of a second in which it took time from any of our cores, in
        the tenth before, as the kernel tells of it late, and in the tenth after, when what waited
        is sent.

        Returns:
            What is left, and how much of the time that is (0 to 1).
        """
        slices, taken = [], [machine.stolen_s()]
        for _ in range(round(seconds / _SLICE_S)):
            slices.append(self.read(_SLICE_S))
            taken.append(machine.stolen_s())
        kept = [
            seen
            for number, seen in enumerate(slices)
            if taken[max(0, number - 1)] == taken[min(number + 2, len(slices))]
        ]
        left = TimedEvent(
            ttft=[one for seen in kept for one in seen.ttft],
            delay=[one for seen in kept for one in seen.delay],
            tokens=sum(seen.tokens for seen in kept),
            # A stream that breaks is never the hypervisor's doing.
            broken=sum(seen.broken for seen in slices),
        )
        return left, len(kept) / len(slices)

    def _open(self) -> None:
        sock = socket.create_connection(self._address, timeout=10)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        reader = self._readers[sock.fileno()] = _Reader(sock)
        self._epoll.register(sock, select.EPOLLIN)
        self._ask(reader)

    def _ask(self, reader: _Reader) -> None:
        reader.asked_ns = time.time_ns()
        reader.waiting = True
        reader.sock.send(self._request)

    def _broken(self, reader: _Reader, seen: TimedEvent) -> None:
        seen.broken += 1
        self._epoll.unregister(reader.sock)
        del self._readers[reader.sock.fileno()]
        reader.sock.close()
        with contextlib.suppress(OSError):
            self._open()

    def _receive(self, reader: _Reader, seen: TimedEvent) -> None:
        try:
            data, ancillary, _, _ = reader.sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._broken(reader, seen)
            return
        if not data:
            self._broken(reader, seen)
            return
        at_ns = time.time_ns()
        for _, kind, value in ancillary:
            if kind == _SO_TIMESTAMPNS:
                second, nano = struct.unpack("qq", value)
                at_ns = second * 10**9 + nano
        stamps = STAMP.findall(data)
        if stamps:
            seen.tokens += len(stamps)
            seen.delay.extend((at_ns - int(left_ns)) / 1e6 for left_ns in stamps)
            if reader.waiting:
                reader.waiting = False
                seen.ttft.append((at_ns - reader.asked_ns) / 1e6)
        reader.tail = (reader.tail + data)[-len(END) :]
        if reader.tail == END:
            reader.tail = b""
            self._ask(reader)
