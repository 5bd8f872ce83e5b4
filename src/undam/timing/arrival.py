"""One read of a stream with the time at which its bytes reached this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one read brought, and when.

    Args:
        at_ns: CLOCK_REALTIME nanoseconds at which the last byte of the read arrived: the kernel's
            receive stamp where there is one, otherwise the time of the read.
        data: readable body bytes, after transfer and content coding are taken off. Empty when
            compressed bytes came that cannot be read yet.
        late_ns: how long the bytes lay in the kernel before the program took them; 0 without
            a kernel stamp.
        wire_bytes: size of the coded body in this read; ``None`` means the same as ``len(data)``.
    """

    at_ns: int
    data: bytes
    late_ns: int = 0
    wire_bytes: int | None = None
