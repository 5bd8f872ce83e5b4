"""First-come, first-served admission queue with a bound on requests in flight. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from undam.gateway.config.limits import AdmissionLimits


class Waiter:
    """A queued request."""

    __slots__ = ()


class AdmissionQueue:
    """Counter for the requests in flight, and queue for the waiting requests.

    Each request admitted by `enter` or `admit_next` must be followed by one `leave`.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.in_flight = 0
        self._queue: OrderedDict[Waiter, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Number of queued requests."""
        return len(self._queue)

    @property
    def crowded(self) -> bool:
        """True if requests are queued or over 90 % of the slots are in use.

        In this state, extra requests such as hedges are not sent.
        """
        limit = self.limits.max_streams
        return bool(self._queue) or (0 < limit <= self.in_flight + max(1, limit // 10))

    def enter(self, *, capacity: bool = True) -> Waiter | Literal["admitted", "queue-full"]:
        """Admit, queue or refuse a new request.

        Args:
            capacity: whether any upstream can take one more request.
        """
        # A new request never overtakes queued ones.
        if capacity and self._has_slot() and not self._queue:
            self.in_flight += 1
            return "admitted"
        if len(self._queue) >= self.limits.queue:
            return "queue-full"
        waiter = Waiter()
        self._queue[waiter] = None
        return waiter

    def leave(self) -> None:
        """Record the end of an admitted request; `admit_next` can then admit a queued one."""
        self.in_flight -= 1

    def remove(self, waiter: Waiter) -> None:
        """Remove a request whose client disconnected or whose queue timeout expired."""
        self._queue.pop(waiter, None)

    def admit_next(self, *, capacity: bool = True) -> Waiter | None:
        """Admit the first queued request; return ``None`` if none can be admitted."""
        if not self._queue or not capacity or not self._has_slot():
            return None
        self.in_flight += 1
        return self._queue.popitem(last=False)[0]

    def _has_slot(self) -> bool:
        return not self.limits.max_streams or self.in_flight < self.limits.max_streams
