"""Limits on the work that external input can cause: bytes, items and time.

A small input can expand into much work: 58 KB of gzip data contain 30 million comments. A limit on
bytes alone does not help, because each comment becomes an object that is a hundred times larger.
Every command that reads responses, records or configurations therefore uses the limits below. They
apply to a whole run, not to each of its parts. A result that reached a limit names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from undam.errors import UndamError

MAX_BODY_BYTES = 24 << 20
"""Maximum size of all bodies of a run, before and after decompression.

An answer of 32 000 tokens has about 8 MB, and one with three large images less than the limit."""

MAX_ITEMS = 32_000
"""Maximum number of events and comments of a run, and of the reads in which they arrive.

This is a stream of 50 tokens per second for the 600 seconds that `undam watch` allows. With twice
as many small events in compressed data, `watch` took 7 s of CPU time and 230 MB."""

MAX_HEADER_LINES = 1000
"""Maximum number of header fields of one response; curl accepts 5000, and most servers 100."""

MAX_RECORD_BYTES = 64 << 20
"""Maximum size of all bodies that are read from one record, which may contain several runs."""

MAX_RECORD_ITEMS = 500_000
"""Maximum number of reads, and of events and comments, that are taken from one record."""

PIECE_BYTES = 1 << 14
"""Size of the pieces in which data is parsed. The limits are checked after each piece."""

# Minimum for each stream, so that a run with many streams can still analyze all of them.
_LEAST_BODY_BYTES = 1 << 19
_LEAST_ITEMS = 2000


class WorkLimitError(UndamError):
    """The input exceeds a limit of undam; the message names the limit."""


def body_bytes_of(parts: int) -> int:
    """Return the size limit for each body in a run that reads ``parts`` bodies."""
    return max(_LEAST_BODY_BYTES, MAX_BODY_BYTES // max(1, parts))


def items_of(parts: int) -> int:
    """Return the limit on events and comments per stream in a run that reads ``parts`` streams."""
    return max(_LEAST_ITEMS, MAX_ITEMS // max(1, parts))


@dataclass(slots=True)
class WorkBudget:
    """Amount of work that an analysis may still do.

    Args:
        items: number of events, comments or other items.
        is_over: returns whether the time for the work is over.
    """

    items: int = MAX_ITEMS
    is_over: Callable[[], bool] = lambda: False

    def spend(self, items: int) -> None:
        """Subtract the number of processed items.

        Raises:
            WorkLimitError: no items or no time are left.
        """
        self.items -= items
        if self.items < 0:
            raise WorkLimitError("too many events and comments")
        if self.is_over():
            raise WorkLimitError("the time limit (--timeout) was reached during the analysis")


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` in pieces of up to ``PIECE_BYTES``."""
    if len(data) <= PIECE_BYTES:
        yield data
        return
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]
