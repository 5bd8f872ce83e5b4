"""Pairing of the two sides of a proxy: the same stream on the connections before and after it.

Nothing that the proxy adds is required. Streams are paired by the content of their events, then by
what a proxy passes on (the request's body, request IDs, traceparent), then by time: the request to
the origin begins within the request of the client.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import chain, pairwise

from undam.apis import api_for_path
from undam.diagnosis.reading import Reading, TimedEvent
from undam.record import Exchange, Stamps
from undam.tap.capture.segments import Endpoint
from undam.tap.http.streams import CapturedStream
from undam.tap.shared_bodies import BodyReader, EventKeys, Key, read_keyed
from undam.timing import Arrival

# All network interfaces of a host use the same clock, but they stamp packets at slightly different
# points.
_SLACK_NS = 2_000_000
MIN_COMMON = 0.5
"""Minimum share of the events that both sides of a proxy have in common.

With a fifth of the packets missing on both sides, the share is about 80 %.
"""

# An event in more streams than this, such as [DONE], does not identify a stream.
_COMMON_EVENT = 20
# If there are more events than this, missing events are skipped greedily, without optimal
# alignment.
_MAX_ALIGNED = 3000
# Streams that share only their text are paired with less confidence.
_TEXT_WEIGHT = 0.1

_Rank = tuple[float, ...]


@dataclass
class Leg:
    """A stream on one connection, parsed into events.

    Args:
        stream: the captured response.
        reading: its events; of an incomplete capture, those that are whole.
        events: its content events, to compare them with those of other legs.
        is_partial: whether events may be missing.
    """

    stream: CapturedStream
    reading: Reading
    events: EventKeys
    is_partial: bool

    def is_reasoning(self, index: int) -> bool:
        """Return whether the content event at ``index`` is part of the model's reasoning."""
        meaning = self._contents[index].meaning
        content = repr(meaning.payload) if meaning is not None else ""
        return "reasoning" in content or "thinking" in content

    @cached_property
    def texts(self) -> list[str]:
        """Return the texts of the content events."""
        return [item.text for item in self._contents]

    @cached_property
    def times(self) -> list[int]:
        """Return the times of the content events."""
        return [item.at_ns for item in self._contents]

    @cached_property
    def _contents(self) -> tuple[TimedEvent, ...]:
        return self.reading.contents

    @cached_property
    def identifiers(self) -> set[bytes]:
        """Return digests of those parts of the request that proxies forward unchanged."""
        request = self.stream.request
        if request is None:
            return set()
        found = {one.encode() for one in request.ids}
        if request.body_hash:
            found.add(request.body_hash)
        return found


def parse_leg(stream: CapturedStream, reader: BodyReader | None = None) -> Leg:
    """Parse a captured stream into events.

    Args:
        reader: keeps the bodies of related streams, so that equal ones are parsed once.
    """
    request = stream.request
    target = request.target if request is not None else ""
    host = request.host if request is not None and request.host else str(stream.server)
    path = target.partition("?")[0]
    exchange = Exchange(
        hop=str(stream.server),
        url=f"http://{host}{path or '/'}",
        api=api_for_path(path).name,
        stamps=Stamps(start_ns=stream.start_ns, sent_ns=stream.sent_ns, head_ns=stream.head_ns),
        head=stream.head,
        arrivals=tuple(stream.arrivals),
        ending=stream.ending,
        ended_ns=stream.ended_ns,
        error=stream.problem,
    )
    if stream.is_whole:
        read = read_keyed if reader is None else reader.read
        return Leg(stream, *read(exchange), is_partial=False)
    reading = read_keyed(replace(exchange, arrivals=_whole_events(stream)))
    return Leg(stream, *reading, is_partial=True)


def _whole_events(stream: CapturedStream) -> tuple[Arrival, ...]:
    """Return the arrivals without events that are incomplete because of missing bytes.

    The part before each gap is cut after its last whole event, and the part after the gap starts
    with the next whole event.
    """
    kept: list[Arrival] = []
    bounds = [0, *stream.breaks, len(stream.arrivals)]
    for number, (start, stop) in enumerate(pairwise(bounds)):
        part = stream.arrivals[start:stop]
        if number:
            part = _after_blank_line(part)
        if stop < len(stream.arrivals) or stream.problem is not None:
            part = _to_blank_line(part)
        kept += part
    return tuple(kept)


def _after_blank_line(part: list[Arrival]) -> list[Arrival]:
    for index, arrival in enumerate(part):
        end = _end_of_blank_line(arrival.data)
        if end is not None:
            rest = arrival.data[end:]
            return [replace(arrival, data=rest), *part[index + 1 :]]
    return []


def _to_blank_line(part: list[Arrival]) -> list[Arrival]:
    for index in range(len(part) - 1, -1, -1):
        data = part[index].data
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4)
        if end > 3 or data.find(b"\n\n") >= 0:
            return [*part[:index], replace(part[index], data=data[:end])]
    return []


def _end_of_blank_line(data: bytes) -> int | None:
    found = [
        at + size for mark, size in ((b"\n\n", 2), (b"\r\n\r\n", 4)) if (at := data.find(mark)) >= 0
    ]
    return min(found, default=None)


@dataclass(frozen=True)
class Pair:
    """A stream on both sides of a proxy.

    Args:
        outer: the side of the client.
        inner: the side of the origin.
        matched: indices of the same content event in ``outer`` and ``inner``.
    """

    outer: Leg
    inner: Leg
    matched: tuple[tuple[int, int], ...]

    @property
    def proxy(self) -> Endpoint:
        """Address at which the proxy listens."""
        return self.outer.stream.server


def pair_legs(legs: Sequence[Leg]) -> tuple[list[Pair], list[Leg]]:
    """Return the pairs, and the legs that are not the outer side of any pair.

    Each leg is at most once the outer side and at most once the inner side of a pair, so a chain of
    proxies gives one pair for each proxy.
    """
    candidates = sorted(_candidates(legs))
    first = _choose(candidates)
    # A proxy has few upstreams. Ambiguous streams (for instance, if many clients receive the same
    # answer at the same time) are therefore paired like most others.
    upstreams: dict[tuple[Endpoint, Endpoint], float] = defaultdict(float)
    totals: dict[Endpoint, float] = defaultdict(float)
    for (by_text, *_), outer, inner in first:
        weight = _TEXT_WEIGHT if by_text else 1.0
        upstreams[legs[outer].stream.server, legs[inner].stream.server] += weight
        totals[legs[outer].stream.server] += weight

    def usual(candidate: tuple[_Rank, int, int]) -> tuple[object, ...]:
        (by_text, common, ids, *rest), outer, inner = candidate
        server = legs[outer].stream.server
        rare = 2 * upstreams[server, legs[inner].stream.server] < totals[server]
        return by_text, common, ids, rare, *rest, outer, inner

    starts: dict[Endpoint, list[int]] = defaultdict(list)
    for leg in sorted(legs, key=lambda one: one.stream.start_ns):
        if leg.stream.request is not None:
            starts[leg.stream.server].append(leg.stream.start_ns)
    backwards: dict[tuple[Endpoint, Endpoint], bool] = {}

    def is_backwards(outer: int, inner: int) -> bool:
        servers = legs[outer].stream.server, legs[inner].stream.server
        if servers not in backwards:
            backwards[servers] = _leads_back(upstreams, *servers) or _begins_earlier(
                starts, *servers
            )
        return backwards[servers]

    likely = [one for one in candidates if not is_backwards(*one[1:])]
    chosen = _choose(sorted(likely, key=usual))
    pairs = [
        Pair(legs[outer], legs[inner], tuple(match_events(legs[outer], legs[inner])))
        for _, outer, inner in chosen
    ]
    taken = {outer for _, outer, _ in chosen}
    return pairs, [leg for index, leg in enumerate(legs) if index not in taken]


def _leads_back(
    upstreams: Mapping[tuple[Endpoint, Endpoint], float], outer: Endpoint, inner: Endpoint
) -> bool:
    """Return whether ``inner`` forwards to ``outer`` more often than the reverse.

    It may do so through other proxies. Otherwise, streams with the same text could form a cycle.
    """
    weight = upstreams.get((outer, inner), 0.0)
    edges = [edge for edge, other in upstreams.items() if other > weight]
    reached = {inner}
    while more := {target for source, target in edges if source in reached} - reached:
        reached |= more
    return outer in reached


def _begins_earlier(
    starts: Mapping[Endpoint, Sequence[int]], outer: Endpoint, inner: Endpoint
) -> bool:
    """Return whether most requests to ``inner`` begin too early to come from a proxy at ``outer``.

    If each request to ``inner`` follows one to ``outer``, then the nth request to ``inner`` begins
    after the nth request to ``outer``. Start times of different hosts are not compared.
    """
    first, second = starts.get(outer, ()), starts.get(inner, ())
    if outer.address != inner.address or len(second) > len(first):
        return False
    early = sum(into < out for out, into in zip(first, second, strict=False))
    return 2 * early > len(second)


def _choose(candidates: Iterable[tuple[_Rank, int, int]]) -> list[tuple[_Rank, int, int]]:
    """Return the best candidates, with each leg at most once on each side."""
    outers: set[int] = set()
    inners: set[int] = set()
    chosen: dict[tuple[int, int], _Rank] = {}
    for rank, outer, inner in candidates:
        if outer in outers or inner in inners or (inner, outer) in chosen:
            continue
        outers.add(outer)
        inners.add(inner)
        chosen[outer, inner] = rank
    return [(rank, outer, inner) for (outer, inner), rank in chosen.items()]


def _candidates(legs: Sequence[Leg]) -> Iterable[tuple[_Rank, int, int]]:
    """Yield possible pairs, each with a rank; the most likely pair has the smallest rank."""
    by_key: dict[Key, set[int]] = defaultdict(set)
    by_text: dict[Key, set[int]] = defaultdict(set)
    for index, leg in enumerate(legs):
        for key in chain(leg.events.payload_counts, leg.identifiers):
            by_key[key].add(index)
        for key in leg.events.text_counts:
            by_text[key].add(index)
    order = sorted(range(len(legs)), key=lambda index: legs[index].stream.start_ns)
    for position, outer in enumerate(order):
        one = legs[outer]
        nearby = order[max(0, position - 4) : position + 2 * _COMMON_EVENT]
        related = _related(by_key, chain(one.events.payload_counts, one.identifiers))
        examined = {outer}
        # Comparing texts takes as long again, and is needed only if no leg has the same payloads.
        is_paired = False
        for inner in (related | set(nearby)) - examined:
            rank = _rank(one, legs[inner])
            if rank is not None:
                is_paired = is_paired or not rank[0]
                yield rank, outer, inner
        if not is_paired:
            examined |= related | set(nearby)
            for inner in _related(by_text, one.events.text_counts) - examined:
                rank = _rank(one, legs[inner])
                if rank is not None:
                    yield rank, outer, inner


def _related(index: Mapping[Key, set[int]], keys: Iterable[Key]) -> set[int]:
    """Return the legs that share a key with few other legs."""
    found = set[int]()
    for key in keys:
        members = index[key]
        if 1 < len(members) <= _COMMON_EVENT:
            found |= members
    return found


def _rank(outer: Leg, inner: Leg) -> _Rank | None:
    """Return the rank of a possible pair, or ``None`` if it is impossible."""
    out, into = outer.stream, inner.stream
    if into.server == out.server:
        return None  # A proxy does not forward to itself.
    # If the capture began after the request, its time is unknown and is not compared.
    begins_after = out.request is None or out.start_ns - _SLACK_NS <= into.start_ns
    if not begins_after or into.start_ns > out.ended_ns:
        return None
    first_out, first_in = _first_ns(outer), _first_ns(inner)
    if first_out is None or first_in is None or first_in > first_out + _SLACK_NS:
        return None  # A proxy cannot send content before it has received it.
    other_host = into.client.address != out.server.address
    if other_host and out.client.address == into.server.address:
        return None  # The addresses indicate the opposite direction.
    some, others = outer.events, inner.events
    common, by_text = common_share(some.payload_counts, others.payload_counts), 0.0
    if common < MIN_COMMON:
        common, by_text = common_share(some.text_counts, others.text_counts), 1.0
    if common < MIN_COMMON:
        return None
    ids = -float(len(outer.identifiers & inner.identifiers))
    if by_text and not ids and (outer.is_partial or inner.is_partial):
        return None  # Answers to different requests often share most of their words.
    begins_before = float(out.request is not None and into.start_ns < out.start_ns)
    distance = float(abs(into.start_ns - out.start_ns))
    return (by_text, -round(common, 2), ids, float(other_host), begins_before, distance)


def _first_ns(leg: Leg) -> int | None:
    times = leg.times
    return times[0] if times else None


def common_share(some: Counter[Key], others: Counter[Key]) -> float:
    """Return the share of the shorter leg's events that are contained in both legs."""
    if some is others:
        return 1.0 if some else 0.0
    least = min(some.total(), others.total())
    if not least or some.keys().isdisjoint(others):
        return 0.0
    return (some & others).total() / least


def comparable_keys(outer: Leg, inner: Leg) -> tuple[list[Key], list[Key]]:
    """Return the event keys of both legs: payloads if they share enough of them, or else texts."""
    some, others = outer.events, inner.events
    if common_share(some.payload_counts, others.payload_counts) >= MIN_COMMON:
        return some.by_payload, others.by_payload
    return some.texts, others.texts


def match_events(outer: Leg, inner: Leg) -> list[tuple[int, int]]:
    """Return index pairs of the content events that are the same on both legs, in order."""
    some, others = comparable_keys(outer, inner)
    if some == others:
        return [(index, index) for index in range(len(some))]
    return _align(some, others)


def _align(some: list[Key], others: list[Key]) -> list[tuple[int, int]]:
    if len(some) + len(others) <= _MAX_ALIGNED:
        blocks = SequenceMatcher(None, some, others, autojunk=False).get_matching_blocks()
        return [(b.a + step, b.b + step) for b in blocks for step in range(b.size)]
    positions: dict[Key, list[int]] = defaultdict(list)
    for index in range(len(others) - 1, -1, -1):
        positions[others[index]].append(index)
    matched, last = [], -1
    for index, key in enumerate(some):
        found = positions[key]
        while found and found[-1] <= last:
            found.pop()
        if found:
            last = found.pop()
            matched.append((index, last))
    return matched
