"""The way in: keys first, then a place or the queue. It is `keys` and `admission`, on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from undam.gateway.interfaces import Refusal, RequestInfo
from undam.gateway.policy.admission_queue import AdmissionLimits, AdmissionQueue, Waiter
from undam.gateway.policy.keys import Key, KeyUsage, find_key, token_of

_KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key"})

# Who is let in from the queue is sent on in the same turn of the loop. If its client left in that
# very turn, nobody takes the permit, and its place would be lost for good.
_LOST_S = 1.0

_STOPPING = Refusal(503, "the gateway is shutting down", "overloaded_error", 1.0)
_FULL = Refusal(503, "the gateway is full, and so is its queue", "overloaded_error", 1.0)
_TOO_LATE = Refusal(503, "no place became free in time", "overloaded_error", 1.0)
_NO_KEY = Refusal(
    401,
    "this gateway needs a key: Authorization: Bearer KEY",
    "authentication_error",
    headers=((b"WWW-Authenticate", b"Bearer"),),
)


class AdmissionPermit:
    """A `Permit`; a second `release` does nothing."""

    __slots__ = ("_control", "released", "request")

    def __init__(self, admission: AdmissionControl, request: RequestInfo) -> None:
        self._control = admission
        self.request = request
        self.released = False

    def release(self) -> None:
        """See ``Permit``."""
        if not self.released:
            self.released = True
            self._control.left(self.request)


Answer = AdmissionPermit | Refusal
_Turn = asyncio.Future[Answer]


class AdmissionControl:
    """Who comes in, and when.

    Args:
        room: whether the upstreams may take one more, besides so many that are let in already.
        on_queue: told how many wait, whenever that changes.
        on_left: told of a request that was let in and is over.
    """

    def __init__(
        self,
        terms: AdmissionLimits,
        *,
        clock: Callable[[], float],
        room: Callable[[int], bool],
        on_queue: Callable[[int], None],
        on_left: Callable[[RequestInfo], None],
    ) -> None:
        self.queue = AdmissionQueue(terms)
        self.keys: tuple[Key, ...] | None = None
        """``None``: nobody needs one."""
        self.stopping = False
        self._clock = clock
        self._room = room
        self._on_queue = on_queue
        self._on_left = on_left
        self._key_usage = KeyUsage()
        self._turns: dict[Waiter, tuple[_Turn, RequestInfo]] = {}
        # Let in, but not yet sent to an upstream, which therefore seems to have room.
        self._coming: dict[int, RequestInfo] = {}

    def enter(self, request: RequestInfo) -> Answer | _Turn:
        """Let it in, refuse it, or let it wait; cancel the future if its client leaves. Its key is
        taken off and its name noted."""
        if self.stopping:
            return _STOPPING
        refusal = self._check_key(request)
        if refusal is not None:
            return refusal
        entered = self.queue.enter(room=self._room(len(self._coming)))
        if entered == "in":
            self._coming[id(request)] = request
            return AdmissionPermit(self, request)
        if entered == "queue-full":
            self._key_usage.give_back(request.key_name)
            return _FULL
        return self._queue(entered, request)

    def sent(self, request: RequestInfo) -> None:
        """It goes to an upstream, which counts it from now on."""
        self._coming.pop(id(request), None)

    def left(self, request: RequestInfo) -> None:
        """A request that was let in is over."""
        self._coming.pop(id(request), None)
        self._key_usage.give_back(request.key_name)
        self._on_left(request)
        self.queue.leave()
        self.let_in()

    def let_in(self) -> None:
        """Something may have become free: those whose turn it is come in."""
        while (waiter := self.queue.next_in(room=self._room(len(self._coming)))) is not None:
            turn, request = self._turns.pop(waiter)
            self._coming[id(request)] = request
            permit = AdmissionPermit(self, request)
            turn.set_result(permit)
            turn.get_loop().call_later(_LOST_S, self._find_lost, permit)
            self._on_queue(self.queue.waiting)

    def stop(self) -> None:
        """Nobody comes in any more; who waits is told so."""
        self.stopping = True
        for turn, _ in list(self._turns.values()):
            turn.set_result(_STOPPING)

    def _find_lost(self, permit: AdmissionPermit) -> None:
        if id(permit.request) in self._coming:
            permit.release()

    def _queue(self, waiter: Waiter, request: RequestInfo) -> _Turn:
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._turns[waiter] = (turn, request)
        timer = loop.call_later(self.queue.terms.queue_timeout_s, turn.set_result, _TOO_LATE)

        def over(_: _Turn) -> None:
            timer.cancel()
            if self._turns.pop(waiter, None) is not None:
                # It was refused, or its client left.
                self.queue.give_up(waiter)
                self._key_usage.give_back(request.key_name)
                self._on_queue(self.queue.waiting)

        turn.add_done_callback(over)
        self._on_queue(self.queue.waiting)
        return turn

    def _check_key(self, request: RequestInfo) -> Refusal | None:
        if self.keys is None:
            return None
        key = find_key(self.keys, token_of(request.headers))
        if key is None:
            return _NO_KEY
        wait_s = self._key_usage.take(key, self._clock())
        if wait_s is not None:
            return Refusal(429, "this key is used up for now", "rate_limit_error", wait_s)
        request.key_name = key.name
        strip_keys(request)
        return None


def strip_keys(request: RequestInfo) -> None:
    """Take from a request what upstreams would take for a key."""
    request.headers[:] = [one for one in request.headers if one[0].lower() not in _KEY_HEADERS]
