"""Body of one request, buffered between the client and the upstreams. No I/O.

A body is buffered until it is complete, so that the request can be repeated. If all buffered bodies
together exceed the budget, the body is instead passed on as it arrives.
"""

from __future__ import annotations

from math import inf

from undam.gateway.body.budget import BodyBudget
from undam.http1.chunked import LAST_CHUNK, encode_chunk

_IDLE_S = 30.0
_JOINED_BYTES = 8 << 10
# These limits are modeled on the defaults of Apache's mod_reqtimeout.
_GRACE_S = 30.0
_MIN_BYTES_PER_S = 1024
_MAX_S = 600.0


class RequestBody:
    """The received part of a request body.

    Attributes:
        size: number of bytes received.
        complete: the whole body has arrived.
        passed_on: the body is sent to one upstream as it arrives, and is not kept.

    Args:
        chunked: the client sends the body in chunks. A body that is passed on is chunked as well;
            otherwise its size is known and replaces the chunks.
        now: time at which the head of the request was parsed.
    """

    __slots__ = (
        "_budget", "_chunked", "_held_bytes", "_last_at", "_paused_at", "_pieces", "_started_at",
        "complete", "passed_on", "size",
    )  # fmt: skip

    def __init__(self, budget: BodyBudget, *, chunked: bool, now: float) -> None:
        self.size = 0
        self.complete = False
        self.passed_on = False
        self._budget = budget
        self._chunked = chunked
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._started_at = self._last_at = now
        self._paused_at = inf

    @property
    def pieces(self) -> list[bytes]:
        """The buffered pieces of the body, in order."""
        return self._pieces

    @property
    def held_bytes(self) -> int:
        """Number of buffered bytes."""
        return self._held_bytes

    @property
    def ended(self) -> bool:
        """True if the body is complete and, when it is streamed, fully sent."""
        return self.complete and not (self.passed_on and (self._pieces or self._chunked))

    def add(self, piece: bytes, now: float, *, complete: bool) -> None:
        """Add the bytes of one read, without their framing."""
        self.complete = complete
        self._last_at = now
        if piece:
            self.size += len(piece)
            self._hold(piece)

    def take(self) -> bytes:
        """Return the next part of a streamed body, with its framing; empty if there is none."""
        if self._pieces:
            piece = self._pieces.pop(0)
            self._held_bytes -= len(piece)
            self._budget.used_bytes -= len(piece)
            return encode_chunk(piece) if self._chunked else piece
        if self._chunked and self.complete:
            self._chunked = False
            return LAST_CHUNK
        return b""

    def replace_span(self, span: tuple[int, int], data: bytes) -> None:
        """Replace the bytes from ``span[0]`` to ``span[1]`` of a complete body."""
        whole = b"".join(self._pieces)
        self.release()
        self.size += len(data) - (span[1] - span[0])
        for piece in (whole[: span[0]], data, whole[span[1] :]):
            self._hold(piece)

    def release(self) -> None:
        """Record that reading has resumed."""
        self._pieces = []
        self._budget.used_bytes -= self._held_bytes
        self._held_bytes = 0

    def pause(self, now: float) -> None:
        """Record that reading is paused. The pause does not count against the client."""
        self._paused_at = min(now, self._paused_at)

    def resume(self, now: float) -> None:
        """Record that reading continues."""
        if self._paused_at < inf:
            self._started_at += now - self._paused_at
            self._last_at = now
            self._paused_at = inf

    def deadline(self) -> float:
        """Return the time by which the client must send more of the body."""
        if self.complete or self._paused_at < inf:
            return inf
        allowed_s = min(_GRACE_S + self.size / _MIN_BYTES_PER_S, _MAX_S)
        return min(self._last_at + _IDLE_S, self._started_at + allowed_s)

    def _hold(self, piece: bytes) -> None:
        pieces = self._pieces
        # Each bytes object has an overhead of about 40 bytes, so short pieces are joined.
        if pieces and len(pieces[-1]) + len(piece) <= _JOINED_BYTES:
            pieces[-1] += piece
        else:
            pieces.append(piece)
        self._held_bytes += len(piece)
        self._budget.used_bytes += len(piece)
