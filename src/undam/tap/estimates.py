"""Estimation of event times on encrypted connections, from the sizes of TLS records.

If one side of a proxy is encrypted, the other side shows the events and their sizes. The encrypted
side carries the same bytes plus a head, so the number of bytes sent so far shows which events had
left. Chunk sizes and frame headers differ between the sides, so times are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from undam.record import Ending
from undam.tap.capture.segments import Endpoint
from undam.tap.http.streams import CapturedRequest
from undam.tap.legs import Leg, Pair
from undam.tap.shared_bodies import read_keyed
from undam.timing import Arrival

# Smaller records from a client are HTTP/2 window updates and acknowledgements, not requests.
_SMALLEST_REQUEST_BYTES = 64
# Overhead per part: size line and line breaks for a chunk, or the header of an HTTP/2 frame.
_FRAMING_BYTES = 8
_SLACK_NS = 5_000_000
# Framing, header compression and padding change the size by a factor within this range.
_SIZE_RATIO = (0.5, 2.5)


@dataclass(frozen=True)
class OpaqueTurn:
    """Request and response on an encrypted connection.

    Args:
        writes: time and bytes of each record of the response.
    """

    client: Endpoint
    server: Endpoint
    start_ns: int
    sent_ns: int
    writes: tuple[tuple[int, int], ...]

    @property
    def ended_ns(self) -> int:
        """Time at which the last record of the response was sent."""
        return self.writes[-1][0]

    @property
    def bytes(self) -> int:
        """Size of the response in bytes."""
        return sum(size for _, size in self.writes)


def turns_of(
    client: Endpoint, server: Endpoint, sizes: Sequence[tuple[int, bool, int]]
) -> list[OpaqueTurn]:
    """Divide a connection's records into requests and responses.

    Args:
        sizes: time, direction (from the client) and size of each record of application data.
    """
    found: list[OpaqueTurn] = []
    start_ns = sent_ns = 0
    writes: list[tuple[int, int]] = []

    def finish() -> None:
        if start_ns and writes:
            found.append(OpaqueTurn(client, server, start_ns, sent_ns, tuple(writes)))
        writes.clear()

    for at_ns, from_client, size in sizes:
        if not from_client:
            writes.append((at_ns, size))
        elif size >= _SMALLEST_REQUEST_BYTES:
            if writes or not start_ns:
                finish()
                start_ns = at_ns
            sent_ns = at_ns
    finish()
    return found


def pair_estimates(legs: Sequence[Leg], turns: Sequence[OpaqueTurn]) -> list[Pair]:
    """Pair streams that were captured on one side with encrypted responses on the other side.

    Each stream and each response is used at most once. As many streams as possible are paired, and
    those with the smallest difference of the start times first.
    """
    candidates = sorted(
        (abs(leg.stream.start_ns - turn.start_ns), number, index, is_outer)
        for number, leg in enumerate(legs)
        for index, turn in enumerate(turns)
        if (is_outer := _fit(leg, turn)) is not None
    )
    choices: dict[int, list[int]] = {}
    outer: dict[tuple[int, int], bool] = {}
    for _, number, index, is_outer in candidates:
        choices.setdefault(number, []).append(index)
        outer[number, index] = is_outer
    pairs: list[Pair] = []
    for index, number in sorted(_assign(choices).items()):
        leg, other = legs[number], _estimated_leg(legs[number], turns[index])
        matched = tuple((at, at) for at in range(min(len(leg.times), len(other.times))))
        is_outer = outer[number, index]
        pairs.append(Pair(other, leg, matched) if is_outer else Pair(leg, other, matched))
    return pairs


def _assign(choices: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Assign a turn to as many legs as possible; return the leg for each assigned turn.

    Args:
        choices: the turns that each leg fits, the best first; the most certain legs first.
    """
    leg_of: dict[int, int] = {}
    for leg in choices:
        # Find a free turn; if necessary, earlier legs are moved to other turns (augmenting path).
        queue, came_from, seen = [leg], {leg: -1}, set[int]()
        while queue:
            current = queue.pop(0)
            free = next((one for one in choices[current] if one not in leg_of), None)
            if free is not None:
                _move(leg_of, came_from, current, free)
                break
            for turn in choices[current]:
                if turn not in seen:
                    seen.add(turn)
                    if leg_of[turn] not in came_from:
                        came_from[leg_of[turn]] = current
                        queue.append(leg_of[turn])
    return leg_of


def _move(leg_of: dict[int, int], came_from: Mapping[int, int], leg: int, turn: int) -> None:
    """Assign ``turn`` to ``leg``, and move earlier assignments along the augmenting path."""
    while leg >= 0:
        before = next((one for one, owner in leg_of.items() if owner == leg), -1)
        leg_of[turn] = leg
        if before >= 0:
            del leg_of[before]
        turn, leg = before, came_from[leg]


def _fit(leg: Leg, turn: OpaqueTurn) -> bool | None:
    """Return whether ``turn`` can be the outer (true) or inner (false) side of the leg's proxy."""
    stream = leg.stream
    size = sum(_wire_bytes(arrival) for arrival in stream.arrivals)
    low, high = _SIZE_RATIO
    if leg.is_partial or not leg.times or not low * size <= turn.bytes <= high * size + 4096:
        return None
    if turn.server.address == stream.client.address and turn.server != stream.server:
        begins = turn.start_ns <= stream.start_ns + _SLACK_NS
        if (
            begins
            and stream.start_ns < turn.ended_ns
            and turn.ended_ns > stream.ended_ns - _SLACK_NS
        ):
            return True
    if stream.server.address == turn.client.address and turn.server != stream.server:
        begins = stream.start_ns <= turn.start_ns + _SLACK_NS
        if (
            begins
            and turn.start_ns < stream.ended_ns
            and stream.ended_ns > turn.ended_ns - _SLACK_NS
        ):
            return False
    return None


def _wire_bytes(arrival: Arrival) -> int:
    return len(arrival.data) + _FRAMING_BYTES


def _estimated_leg(leg: Leg, turn: OpaqueTurn) -> Leg:
    """Return a leg for the other side of the proxy, with the same events at estimated times."""
    times = estimate_times([_wire_bytes(arrival) for arrival in leg.stream.arrivals], turn.writes)
    arrivals = [
        Arrival(at_ns, arrival.data)
        for at_ns, arrival in zip(times, leg.stream.arrivals, strict=True)
    ]
    exchange = leg.reading.exchange
    head_ns = turn.writes[0][0]
    stamps = replace(exchange.stamps, start_ns=turn.start_ns, sent_ns=turn.sent_ns, head_ns=head_ns)
    estimated = replace(
        exchange, hop=str(turn.server), arrivals=_merged(arrivals), stamps=stamps,
        ended_ns=turn.ended_ns,
    )  # fmt: skip
    request = CapturedRequest(start_ns=turn.start_ns, sent_ns=turn.sent_ns)
    stream = replace(
        leg.stream, client=turn.client, server=turn.server, request=request, head_ns=head_ns,
        arrivals=list(estimated.arrivals), ended_ns=turn.ended_ns, left_ns=None,
        retransmitted=0, zero_windows=0, ending=Ending.COMPLETE,
    )  # fmt: skip
    return Leg(stream, *read_keyed(estimated), is_partial=False)


def _merged(arrivals: Sequence[Arrival]) -> tuple[Arrival, ...]:
    """Join arrivals that have the same time, because they were in the same record."""
    merged: list[Arrival] = []
    for arrival in arrivals:
        if merged and merged[-1].at_ns == arrival.at_ns:
            merged[-1] = Arrival(arrival.at_ns, merged[-1].data + arrival.data)
        else:
            merged.append(arrival)
    return tuple(merged)


def estimate_times(sizes: Sequence[int], writes: Sequence[tuple[int, int]]) -> list[int]:
    """Estimate the time at which each part was sent, from the sizes of encrypted records.

    The bytes are compared from the end of the response, because a head of unknown size precedes
    them. Half of a part may be missing, which covers differences of the framing.

    Args:
        sizes: bytes of each part.
        writes: time and bytes of each record.
    """
    total_out = sum(size for _, size in writes)
    total_in = sum(sizes)
    # Bytes in excess of the body belong to the head. If there are fewer bytes than the body has,
    # the actual framing is smaller than assumed.
    head = max(0, total_out - total_in)
    scale = min(1.0, total_out / total_in) if total_in else 1.0
    times: list[int] = []
    index, sent, needed = 0, writes[0][1], float(head)
    for size in sizes:
        needed += size * scale
        while sent < needed - size * scale / 2 and index + 1 < len(writes):
            index += 1
            sent += writes[index][1]
        times.append(writes[index][0])
    return times
