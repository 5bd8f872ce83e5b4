"""Results for each proxy: its effect on the streams that passed through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.holds import EventHold, classify_holds
from undam.diagnosis.hop import Hop, is_complete
from undam.diagnosis.shape import Shape, classify_pattern, unknown
from undam.intermediaries import recognise
from undam.probe.remedies import with_fixes
from undam.record import Ending
from undam.rules import Finding, Verdict
from undam.tap.capture.segments import Endpoint
from undam.tap.integrity import ProxyIntegrity
from undam.tap.legs import Leg, Pair

# Limits on the number of stored values. A few thousand holds suffice for quantiles, and a few
# streams for a verdict.
_MAX_HOLDS = 50_000
_MAX_TTFTS = 5_000
_MIN_MATCHED = 8
# A proxy may hold only the streams of some clients, such as those that accept compression. A single
# held stream among many streams may be due to a busy machine.
_FEW_HELD, _HELD_SHARE = 2, 0.05
# Findings about silences, missing events and the end of a stream. Missing packets look the same.
_NEED_ALL_PACKETS = frozenset(
    {
        "UD401", "UD402", "UD504", "UD601", "UD602", "UD604", "UD605", "UD611", "UD612", "UD613",
        "UD614", "UD616",
    }
)  # fmt: skip
# A slow client or a lossy network also delays the sending side.
_SLOW_READER = (
    "the client's receive window was full {count} times: the reader is slow, so the hold is not "
    "attributed to the proxy"
)
_RETRANSMITTED = (
    "{count} segments to the client were sent again: the network loses packets, so the hold is not "
    "attributed to the proxy"
)


_HELD = (Verdict.BATCHED, Verdict.LATE, Verdict.HELD_TO_END)


@dataclass
class StreamResult:
    """Result for one stream through a proxy.

    Args:
        shape: verdict on the proxy by the holds of this stream.
        holds: one per event that was captured on both sides.
    """

    outer: Leg
    inner: Leg | None
    shape: Shape
    holds: tuple[EventHold, ...]

    @property
    def worst_hold_ns(self) -> int:
        """Longest hold in ns."""
        return max((one.hold_ns for one in self.holds), default=0)


@dataclass
class ProxyResult:
    """Results for all streams through one proxy.

    Args:
        address: where the proxy listens.
        process: name of its process, if the capture was made on this host.
        estimated: whether times come from record sizes instead of decoded events.
        cancels_ns: delays between a client's disconnect and that to the origin.
        cancels_ignored: disconnects that did not reach the origin before its response ended.
        cuts: streams that ended early, by who ended them: "origin", "proxy" or "client".
    """

    address: Endpoint
    process: str | None = None
    estimated: bool = False
    streams: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    holds_ns: list[int] = field(default_factory=list)
    blocks: Counter[int] = field(default_factory=Counter)
    periods_ms: list[float] = field(default_factory=list)
    ttft_in_ns: list[int] = field(default_factory=list)
    ttft_out_ns: list[int] = field(default_factory=list)
    heartbeats_in: int = 0
    heartbeats_out: int = 0
    cancels_ns: list[int] = field(default_factory=list)
    cancels_ignored: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    retransmitted: int = 0
    zero_windows: int = 0
    incomplete: int = 0
    integrity: ProxyIntegrity = field(default_factory=ProxyIntegrity)
    typical: dict[Verdict, StreamResult] = field(default_factory=dict)
    worst: StreamResult | None = None

    @property
    def verdict(self) -> Verdict:
        """Return the most frequent verdict; `unknown` only if no stream has any other verdict."""
        known = {one: count for one, count in self.verdicts.items() if one is not Verdict.UNKNOWN}
        if not known:
            return Verdict.UNKNOWN
        return max(known, key=lambda one: (known[one], one is Verdict.STREAMING))

    @property
    def example(self) -> StreamResult | None:
        """Return an example of a stream with the proxy's verdict."""
        return self.typical.get(self.verdict)

    @property
    def held_streams(self) -> int:
        """Return the number of streams that were held."""
        return sum(self.verdicts[one] for one in _HELD)

    @property
    def held_example(self) -> StreamResult | None:
        """Return an example of a held stream, if most or several streams were held."""
        if self.example is not None and self.example.shape.held:
            return self.example
        if self.held_streams < max(_FEW_HELD, _HELD_SHARE * self.streams):
            return None
        return self.typical[max(_HELD, key=lambda one: self.verdicts[one])]

    @property
    def release_bytes(self) -> int | None:
        """Return the most frequent size of a block."""
        return self.blocks.most_common(1)[0][0] if self.blocks else None

    def add(self, pair: Pair) -> StreamResult:
        """Add one stream."""
        result = analyze_pair(pair)
        outer, inner = pair.outer, pair.inner
        self.streams += 1
        self.verdicts[result.shape.verdict] += 1
        self.typical.setdefault(result.shape.verdict, result)
        if self.worst is None or result.worst_hold_ns > self.worst.worst_hold_ns:
            self.worst = result
        if len(self.holds_ns) < _MAX_HOLDS:
            self.holds_ns += [one.hold_ns for one in result.holds]
        if result.shape.release_bytes is not None:
            self.blocks[result.shape.release_bytes] += 1
        if result.shape.period_ms is not None and len(self.periods_ms) < _MAX_TTFTS:
            self.periods_ms.append(result.shape.period_ms)
        self._add_ttft(outer, inner)
        self.heartbeats_in += _heartbeats(inner)
        self.heartbeats_out += _heartbeats(outer)
        self.retransmitted += outer.stream.retransmitted
        self.zero_windows += outer.stream.zero_windows
        self.incomplete += outer.is_partial or inner.is_partial
        self._add_end(outer, inner)
        if not self.estimated:
            self.integrity.add(pair)
        return result

    def _add_ttft(self, outer: Leg, inner: Leg) -> None:
        for leg, values in ((inner, self.ttft_in_ns), (outer, self.ttft_out_ns)):
            times = leg.times
            is_known = bool(times) and leg.stream.request is not None
            if is_known and not leg.is_partial and len(values) < _MAX_TTFTS:
                values.append(times[0] - leg.stream.sent_ns)

    def _add_end(self, outer: Leg, inner: Leg) -> None:
        left_ns = outer.stream.left_ns
        if left_ns is not None and not is_complete(outer.reading):
            self.cuts["client"] += 1
            passed_ns = inner.stream.left_ns
            if passed_ns is not None:
                self.cancels_ns.append(max(0, passed_ns - left_ns))
            else:
                self.cancels_ignored += 1
        elif outer.stream.ending in {Ending.TRUNCATED, Ending.RESET}:
            origin = inner.stream.ending in {Ending.TRUNCATED, Ending.RESET}
            self.cuts["origin" if origin else "proxy"] += 1


def _heartbeats(leg: Leg) -> int:
    return sum(item.meaning is None for item in leg.reading.items)


def analyze_pair(pair: Pair) -> StreamResult:
    """Return the verdict on a proxy, from a stream that was captured on both sides of it.

    The hold of an event is the time between its last byte on the side of the origin and its last
    byte on the side of the client, both on the clock of the capture.
    """
    outer_times, inner_times = pair.outer.times, pair.inner.times
    holds = tuple(EventHold(inner_times[b], outer_times[a]) for a, b in pair.matched)
    if len(holds) < _MIN_MATCHED:
        reason = f"only {len(holds)} events were captured on both sides of the proxy"
        return StreamResult(pair.outer, pair.inner, unknown(reason, events=len(holds)), holds)
    shape = classify_holds(pair.outer.reading, list(holds))
    if shape.held and (reason := _other_cause(pair.outer)):
        shape = unknown(reason, **shape.evidence)
    return StreamResult(pair.outer, pair.inner, shape, holds)


def _other_cause(outer: Leg) -> str:
    """Return the reason why the reader or the network may have caused a hold, or ""."""
    stream = outer.stream
    if stream.zero_windows:
        return _SLOW_READER.format(count=stream.zero_windows)
    if stream.retransmitted > max(2, len(outer.reading.contents) // 20):
        return _RETRANSMITTED.format(count=stream.retransmitted)
    return ""


def analyze_single(leg: Leg) -> StreamResult:
    """Return the verdict on a stream captured on only one side, based on its pattern.

    Missing packets change the pattern, so an incomplete stream has no verdict.
    """
    if leg.is_partial:
        shape = unknown("packets are missing from the capture, so the pattern proves nothing")
    else:
        shape = classify_pattern(leg.reading)
    return StreamResult(leg, None, shape, ())


def hops_of(result: StreamResult) -> list[Hop]:
    """Return the sides of a stream as the hops of a check, outermost first."""
    outer = _hop(result.outer, result.shape, result.holds)
    if result.inner is None:
        return [outer]
    inner_shape = (
        Shape(Verdict.STREAMING) if result.shape.held else classify_pattern(result.inner.reading)
    )
    return [outer, _hop(result.inner, inner_shape, ())]


def _hop(leg: Leg, shape: Shape, holds: Sequence[EventHold]) -> Hop:
    head = leg.stream.head
    return Hop(
        str(leg.stream.server),
        leg.reading.exchange.url,
        (leg.reading,),
        shape,
        tuple(holds),
        exact=bool(holds),
        intermediaries=recognise(head),
    )


def findings_of(result: StreamResult) -> list[Finding]:
    """Return the findings for one stream, with fixes.

    Findings about the inner side are left out: they belong to the result of the next proxy. If
    packets are missing, so are findings that the missing packets could cause.
    """
    hops = hops_of(result)
    found = with_fixes(find_findings(hops), hops)
    left_out = _NEED_ALL_PACKETS if result.outer.is_partial else frozenset()
    return [one for one in found if one.hop == hops[0].name and one.code not in left_out]
