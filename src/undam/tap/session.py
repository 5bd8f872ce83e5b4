"""Session of `undam tap`: converts packets to results per proxy, with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from undam.tap.capture.capture_file import Packet
from undam.tap.capture.encapsulation import is_known
from undam.tap.capture.segments import Endpoint, decode
from undam.tap.connections import ConnectionTable
from undam.tap.estimates import OpaqueTurn, pair_estimates
from undam.tap.http.streams import CapturedStream
from undam.tap.kept_streams import StreamFile
from undam.tap.legs import Leg, Pair, pair_legs, parse_leg
from undam.tap.proxies import ProxyResult, StreamResult, analyze_single
from undam.tap.shared_bodies import BodyReader
from undam.tap.tls import KeyLog

# Unless a proxy cuts a stream, its two sides end within this time of each other. A stream waits
# this long for its other side before it is analyzed alone.
_WAIT_NS = 5_000_000_000
# If more bytes than this are waiting for their other side, streams are analyzed early.
_MAX_WAITING_BYTES = 128 << 20
_EXAMPLES = 20
# Maximum number of encrypted responses that are kept for streams that are still open.
_MAX_TURNS = 2000


@dataclass
class SingleResult:
    """Streams from one server that were captured on one side only."""

    address: Endpoint
    streams: int = 0
    results: list[StreamResult] = field(default_factory=list)


@dataclass
class TapStats:
    """Counters for a session.

    Attributes:
        packets: all packets of the capture.
        other_packets: packets without a TCP segment.
        cut_packets: packets that the snapshot length cut.
        dropped: packets that the kernel dropped because the capture was too slow.
        skipped: streams that were not analyzed, beyond ``--max-streams``.
        backwards: packets with a time before that of an earlier packet.
        unknown_links: link types that cannot be decoded, with their number of packets.
    """

    packets: int = 0
    other_packets: int = 0
    cut_packets: int = 0
    dropped: int = 0
    streams: int = 0
    skipped: int = 0
    backwards: int = 0
    unknown_links: Counter[int] = field(default_factory=Counter)


class TapSession:
    """Analysis of captured packets.

    Args:
        ports: only connections with one of these ports; all if empty.
        max_streams: maximum number of streams to analyze.
        keys: secrets of TLS connections; ``None`` without a key log.
        file: where to keep the analyzed streams without their text; ``None`` keeps nothing.
        between: called after each stream that is analyzed, at most some tens of ms apart.

    Attributes:
        proxies: results by the address at which a proxy listens.
        singles: streams that were captured on one connection only, by the server's address.
        upstreams: servers to which a proxy forwards.
    """

    def __init__(
        self,
        ports: Iterable[int] = (),
        *,
        max_streams: int = 100_000,
        keys: KeyLog | None = None,
        file: StreamFile | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.stats = TapStats()
        self.between = between
        self._file = file
        self.table = ConnectionTable(keys)
        self._turns: list[OpaqueTurn] = []
        self.proxies: dict[Endpoint, ProxyResult] = {}
        self.singles: dict[Endpoint, SingleResult] = {}
        self.upstreams: set[Endpoint] = set()
        self._ports = {port.to_bytes(2, "big") for port in ports}
        self._max_streams = max_streams
        self._waiting: list[CapturedStream] = []
        self._waiting_bytes = 0
        self._last_ns = 0

    def receive_packet(self, packet: Packet) -> None:
        """Add one packet."""
        stats, table, ports = self.stats, self.table, self._ports
        at_ns, _, data, length = packet
        stats.packets += 1
        if len(data) < length:
            stats.cut_packets += 1
        segment = decode(packet)
        if segment is None:
            stats.other_packets += 1
            if not is_known(packet.link_type):
                stats.unknown_links[packet.link_type] += 1
            return
        flow = segment.flow
        if ports and flow[-4:-2] not in ports and flow[-2:] not in ports:
            return
        if at_ns < self._last_ns:
            stats.backwards += 1
        else:
            self._last_ns = at_ns
        is_encrypted = table.receive_segment(segment)
        if is_encrypted and self._file is not None:
            self._file.write_packet(packet)
        if table.has_finished:
            self._keep(table.take_finished())

    def finish(self) -> None:
        """Analyze all remaining streams at the end of the capture."""
        self.table.finish()
        self._keep(self.table.take_finished())
        self._analyze(self._waiting)
        self._waiting = []

    def separate(self) -> None:
        """Analyze all remaining streams, because the next capture's times are not comparable."""
        self.finish()
        self._turns = []
        self._last_ns = 0

    def analyze_old(self) -> None:
        """Analyze the streams that have waited long enough for their other side."""
        limit = self._last_ns - _WAIT_NS
        open_starts = [one.start_ns for one in self.table.open_streams()]
        oldest_open = min(open_starts, default=self._last_ns)
        ready = [one for one in self._waiting if one.ended_ns < min(limit, oldest_open)]
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            ready = self._waiting
        if ready:
            chosen = {id(one) for one in ready}
            self._waiting = [one for one in self._waiting if id(one) not in chosen]
            self._waiting_bytes = sum(map(_size, self._waiting))
            self._analyze(ready)

    def _keep(self, finished: list[CapturedStream]) -> None:
        for stream in finished:
            if self.stats.streams >= self._max_streams:
                self.stats.skipped += 1
                continue
            self.stats.streams += 1
            if self._file is not None:
                self._file.write_stream(stream)
            self._waiting.append(stream)
            self._waiting_bytes += _size(stream)
        if len(self._waiting) > 256 or self._waiting_bytes > _MAX_WAITING_BYTES:
            self.analyze_old()

    def _analyze(self, streams: list[CapturedStream]) -> None:
        reader = BodyReader()
        parsed = [self._parse(stream, reader) for stream in streams]
        legs = [leg for leg in parsed if not leg.reading.is_document]
        self.stats.streams -= len(streams) - len(legs)
        pairs, rest = pair_legs(legs)
        for pair in pairs:
            self._add(pair)
        self._turns = (self._turns + self.table.take_turns())[-_MAX_TURNS:]
        if self._turns:
            # One side of a proxy may be encrypted. A leg can be the inner side of one proxy and the
            # outer side of the next.
            inners = {id(pair.inner) for pair in pairs}
            for pair in pair_estimates([leg for leg in legs if id(leg) not in inners], self._turns):
                self._add(pair, estimated=True)
        for leg in rest:
            self._add_single(leg)

    def _parse(self, stream: CapturedStream, reader: BodyReader) -> Leg:
        self.between()
        return parse_leg(stream, reader)

    def _add(self, pair: Pair, *, estimated: bool = False) -> None:
        result = self.proxies.setdefault(pair.proxy, ProxyResult(pair.proxy))
        result.estimated |= estimated
        result.add(pair)
        self.between()
        self.upstreams.add(pair.inner.stream.server)

    def _add_single(self, leg: Leg) -> None:
        address = leg.stream.server
        single = self.singles.setdefault(address, SingleResult(address))
        single.streams += 1
        if len(single.results) < _EXAMPLES:
            single.results.append(analyze_single(leg))


def _size(stream: CapturedStream) -> int:
    return sum(len(arrival.data) for arrival in stream.arrivals)
