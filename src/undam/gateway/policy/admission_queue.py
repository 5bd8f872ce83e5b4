"""Who is let in, who waits, who is refused: first come, first served, within bounds. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Bounds on what goes on at once.

    Args:
        max_streams: requests under way; 0 is no bound.
        queue: requests that wait for their turn; with 0 nobody waits.
        queue_timeout_s: how long one waits before it is refused.
    """

    max_streams: int = 0
    queue: int = 0
    queue_timeout_s: float = 10.0


class Waiter:
    """A request in the queue."""

    __slots__ = ()


class AdmissionQueue:
    """Counts the requests under way and keeps the queue.

    Whoever is let in, by `enter` or `next_in`, is followed by one `leave`.
    """

    def __init__(self, terms: AdmissionLimits) -> None:
        self.terms = terms
        self.under_way = 0
        self._queue: OrderedDict[Waiter, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def crowded(self) -> bool:
        """Whether somebody waits, or nearly all slots are taken: no time for extra requests."""
        most = self.terms.max_streams
        return bool(self._queue) or (0 < most <= self.under_way + max(1, most // 10))

    def enter(self, *, room: bool = True) -> Waiter | Literal["in", "queue-full"]:
        """Let a request in, or let it wait, or refuse it.

        Args:
            room: whether any upstream can take one more.
        """
        # Nobody overtakes those who wait.
        if room and self._has_place() and not self._queue:
            self.under_way += 1
            return "in"
        if len(self._queue) >= self.terms.queue:
            return "queue-full"
        waiter = Waiter()
        self._queue[waiter] = None
        return waiter

    def leave(self) -> None:
        """A request that was let in is over; ask `next_in` who comes in its place."""
        self.under_way -= 1

    def give_up(self, waiter: Waiter) -> None:
        """Its client left, or its time is over."""
        self._queue.pop(waiter, None)

    def next_in(self, *, room: bool = True) -> Waiter | None:
        """The one whose turn it is, let in; ``None`` if nobody waits or nothing is free."""
        if not self._queue or not room or not self._has_place():
            return None
        self.under_way += 1
        return self._queue.popitem(last=False)[0]

    def _has_place(self) -> bool:
        return not self.terms.max_streams or self.under_way < self.terms.max_streams
