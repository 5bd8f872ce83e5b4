"""Reassembly of one direction of a TCP connection; records when each byte became readable.

A missing segment has two possible reasons. If the network lost it, it is sent again, and the bytes
after it become readable only then. If the capture lost it, the receiver acknowledges it although it
was never captured. The bytes after it then keep their own times, and the gap is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from undam.tap.capture.segments import FIN, RST, SYN, Segment

# If two CPUs capture packets, an acknowledgement may be captured slightly before the segment that
# it acknowledges. A missing segment therefore counts as not captured only after this time.
_GRACE_NS = 50_000_000
# A receiver's window limits the data after a gap. These limits bound the memory use if a gap is
# never filled.
_MAX_PENDING_BYTES = 1 << 20
_MAX_PENDING = 512
_MAX_RECENT = 64
# Time within which a packet that crosses a virtual link is captured at both ends of it.
_COPY_NS = 50_000_000
# Time within which a lost segment is sent again, even after two losses.
_GIVE_UP_NS = 3_000_000_000
_WRAP = 1 << 32


class Piece(NamedTuple):
    """Bytes that became readable at ``at_ns``. The ``lost`` bytes before them were not captured."""

    at_ns: int
    data: bytes
    lost: int = 0


@dataclass(slots=True)
class DirectionStats:
    """Counters for one direction.

    Attributes:
        retransmitted: segments that were sent again.
        copies: packets that the capture contains twice.
        gaps, lost_bytes: number and total size of gaps that were received but not captured.
        zero_windows: announcements of a full receive buffer by the receiver.
    """

    segments: int = 0
    bytes: int = 0
    retransmitted: int = 0
    copies: int = 0
    gaps: int = 0
    lost_bytes: int = 0
    zero_windows: int = 0


def _distance(later: int, earlier: int) -> int:
    """Return the signed difference between two sequence numbers (RFC 9293, 3.4)."""
    return (later - earlier + (_WRAP >> 1)) % _WRAP - (_WRAP >> 1)


class Direction:
    """One direction of a TCP connection.

    Attributes:
        first_seq: sequence number of the connection's first segment (SYN), if it was captured.
        from_start: whether it was captured.
        ended: how this direction ended: ``"fin"``, ``"rst"``, or ``None`` while it is open.
        ended_ns: time of that segment.
    """

    __slots__ = (
        "_acked", "_fin", "_next", "_pending", "_pending_bytes", "_recent", "ended", "ended_ns",
        "first_seq", "from_start", "stats",
    )  # fmt: skip

    def __init__(self) -> None:
        self._next: int | None = None
        self._acked: int | None = None
        self._fin: int | None = None
        self._pending: list[tuple[int, int, bytes, int]] = []
        self._pending_bytes = 0
        self._recent: dict[tuple[int, int, int], int] = {}
        self.first_seq: int | None = None
        self.from_start = False
        self.ended: str | None = None
        self.ended_ns = 0
        self.stats = DirectionStats()

    def receive_segment(self, segment: Segment) -> list[Piece]:
        """Return the bytes that become readable with this segment, in order."""
        at_ns, _, seq, _, flags, _, payload, cut, ident = segment
        if flags & RST:
            self.ended = self.ended or "rst"
            self.ended_ns = self.ended_ns or at_ns
            return self._release(at_ns, final=True)
        if flags & SYN:
            self._next = (seq + 1) % _WRAP
            self.from_start, self.first_seq = True, seq
            seq = self._next
        size = len(payload) + cut
        if not size:
            return self._receive_fin(segment, seq)
        stats = self.stats
        if self._is_copy((seq, size, ident), at_ns):
            stats.copies += 1
            return []
        stats.segments += 1
        if self._next is None:
            self._next = seq
        if seq == self._next and not self._pending and not cut:
            stats.bytes += size
            self._next = (seq + size) % _WRAP
            pieces = [Piece(at_ns, payload)]
            return pieces + self._receive_fin(segment, self._next) if flags & FIN else pieces
        if _distance(seq, self._next) + size <= 0:
            stats.retransmitted += 1
            return []
        self._keep(seq, segment)
        pieces = self._release(at_ns)
        if flags & FIN:
            pieces += self._receive_fin(segment, (seq + size) % _WRAP)
        return pieces

    def receive_ack(self, ack: int, window: int, at_ns: int) -> list[Piece]:
        """Process an acknowledgement from the other end; return bytes that become readable."""
        if not window:
            self.stats.zero_windows += 1
        acked = self._acked
        if ack != acked and (acked is None or _distance(ack, acked) > 0):
            self._acked = ack
        return self._release(at_ns) if self._pending else []

    def finish(self) -> list[Piece]:
        """Return all pending bytes, because the capture has ended."""
        return self._release(0, final=True)

    def _is_copy(self, key: tuple[int, int, int], at_ns: int) -> bool:
        """Return whether the same packet was already captured on another interface.

        Args:
            key: sequence number, size and identification of the packet.
        """
        recent = self._recent
        if len(recent) > _MAX_RECENT:
            recent.clear()
        before = recent.get(key)
        recent[key] = at_ns
        if before is None:
            return False
        return 0 <= at_ns - before < (_COPY_NS if key[2] > 0 else _COPY_NS // 10)

    def _receive_fin(self, segment: Segment, seq: int) -> list[Piece]:
        if segment.flags & FIN:
            self._fin = seq
            if self._next is None:
                self._next = seq
        return self._end_by_fin(segment.at_ns)

    def _end_by_fin(self, at_ns: int) -> list[Piece]:
        if self._fin is None:
            return []
        if self._next is not None and self.ended is None:
            missing = _distance(self._fin, self._next)
            if missing <= 0 or (self._acked is not None and _distance(self._acked, self._fin) > 0):
                pieces = self._release(at_ns, final=True) if missing > 0 else []
                self.ended, self.ended_ns = "fin", at_ns
                return pieces
        return []

    def _keep(self, seq: int, segment: Segment) -> None:
        """Store a segment that arrived out of order; segments are sorted by sequence number."""
        assert self._next is not None
        self._pending.append((seq, segment.at_ns, segment.payload, segment.cut))
        self._pending_bytes += len(segment.payload)
        origin = self._next
        self._pending.sort(key=lambda item: _distance(item[0], origin))

    def _release(self, at_ns: int, *, final: bool = False) -> list[Piece]:
        """Return pending bytes that are in order, or that follow bytes that were not captured."""
        pieces: list[Piece] = []
        filled_ns = 0
        while self._pending:
            assert self._next is not None
            seq, came_ns, payload, cut = self._pending[0]
            gap = _distance(seq, self._next)
            if gap > 0 and not final and not self._was_lost(seq, came_ns, at_ns):
                break
            self._pending.pop(0)
            self._pending_bytes -= len(payload)
            if gap < 0:
                if -gap >= len(payload) + cut:
                    self.stats.retransmitted += 1
                    continue
                payload = payload[-gap:]
                seq = self._next
            lost = max(0, gap)
            # If a retransmission filled a gap, all bytes after the gap were readable only then.
            filled_ns = came_ns if lost else max(filled_ns, came_ns)
            self.stats.gaps += bool(lost) + bool(cut)
            self.stats.lost_bytes += lost + cut
            self.stats.bytes += len(payload)
            pieces.append(Piece(filled_ns, payload, lost))
            if cut:
                pieces.append(Piece(filled_ns, b"", cut))
            self._next = (seq + len(payload) + cut) % _WRAP
        return pieces + (self._end_by_fin(at_ns) if not final and pieces else [])

    def _was_lost(self, seq: int, came_ns: int, now_ns: int) -> bool:
        """Return whether the bytes before ``seq`` were received, but not captured."""
        if self._pending_bytes > _MAX_PENDING_BYTES or len(self._pending) > _MAX_PENDING:
            return True
        acked = self._acked is not None and _distance(self._acked, seq) >= 0
        return now_ns - came_ns > (_GRACE_NS if acked else _GIVE_UP_NS)
