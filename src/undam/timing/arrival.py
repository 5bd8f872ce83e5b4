"""Data from one read of a stream, with its arrival time at this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes from one read, and their arrival time.

    Args:
        at_ns: CLOCK_REALTIME nanoseconds at which the last byte of the read arrived: the kernel's
            receive timestamp if there is one, otherwise the time of the read.
        data: body bytes with transfer and content coding removed. Empty if the read had only
            compressed bytes that cannot be decoded yet.
        late_ns: how long the bytes waited in the kernel before the program read them; 0 without
            a kernel timestamp.
        wire_bytes: size of the coded body in this read; ``None`` means ``len(data)``.
    """

    at_ns: int
    data: bytes
    late_ns: int = 0
    wire_bytes: int | None = None
