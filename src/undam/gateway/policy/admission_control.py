"""The way in: keys first, then a place or the queue. It is `keys` and `admission`, on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from undam.gateway.interfaces import Refusal, RequestInfo
from undam.gateway.policy.admission_queue import Admission, AdmissionTerms, Waiter
from undam.gateway.policy.keys import Key, Usage, find_key, token_of

_KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key"})

# Who is let in from the queue is sent on in the same turn of the loop. If its client left in that
# very turn, nobody takes the ticket, and its place would be lost for good.
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


class Pass:
    """A `Ticket`; a second `release` does nothing."""

    __slots__ = ("_entrance", "released", "request")

    def __init__(self, entrance: Entrance, request: RequestInfo) -> None:
        self._entrance = entrance
        self.request = request
        self.released = False

    def release(self) -> None:
        """See ``Ticket``."""
        if not self.released:
            self.released = True
            self._entrance.left(self.request)


Answer = Pass | Refusal
_Turn = asyncio.Future[Answer]


class Entrance:
    """Who comes in, and when.

    Args:
        room: whether the upstreams may take one more, besides so many that are let in already.
        on_queue: told how many wait, whenever that changes.
        on_left: told of a request that was let in and is over.
    """

    def __init__(
        self,
        terms: AdmissionTerms,
        *,
        clock: Callable[[], float],
        room: Callable[[int], bool],
        on_queue: Callable[[int], None],
        on_left: Callable[[RequestInfo], None],
    ) -> None:
        self.admission = Admission(terms)
        self.keys: tuple[Key, ...] | None = None
        """``None``: nobody needs one."""
        self.stopping = False
        self._clock = clock
        self._room = room
        self._on_queue = on_queue
        self._on_left = on_left
        self._usage = Usage()
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
        entered = self.admission.enter(room=self._room(len(self._coming)))
        if entered == "in":
            self._coming[id(request)] = request
            return Pass(self, request)
        if entered == "queue-full":
            self._usage.give_back(request.key_name)
            return _FULL
        return self._queue(entered, request)

    def sent(self, request: RequestInfo) -> None:
        """It goes to an upstream, which counts it from now on."""
        self._coming.pop(id(request), None)

    def left(self, request: RequestInfo) -> None:
        """A request that was let in is over."""
        self._coming.pop(id(request), None)
        self._usage.give_back(request.key_name)
        self._on_left(request)
        self.admission.leave()
        self.let_in()

    def let_in(self) -> None:
        """Something may have become free: those whose turn it is come in."""
        while (waiter := self.admission.next_in(room=self._room(len(self._coming)))) is not None:
            turn, request = self._turns.pop(waiter)
            self._coming[id(request)] = request
            ticket = Pass(self, request)
            turn.set_result(ticket)
            turn.get_loop().call_later(_LOST_S, self._find_lost, ticket)
            self._on_queue(self.admission.waiting)

    def stop(self) -> None:
        """Nobody comes in any more; who waits is told so."""
        self.stopping = True
        for turn, _ in list(self._turns.values()):
            turn.set_result(_STOPPING)

    def _find_lost(self, ticket: Pass) -> None:
        if id(ticket.request) in self._coming:
            ticket.release()

    def _queue(self, waiter: Waiter, request: RequestInfo) -> _Turn:
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._turns[waiter] = (turn, request)
        timer = loop.call_later(self.admission.terms.queue_timeout_s, turn.set_result, _TOO_LATE)

        def over(_: _Turn) -> None:
            timer.cancel()
            if self._turns.pop(waiter, None) is not None:
                # It was refused, or its client left.
                self.admission.give_up(waiter)
                self._usage.give_back(request.key_name)
                self._on_queue(self.admission.waiting)

        turn.add_done_callback(over)
        self._on_queue(self.admission.waiting)
        return turn

    def _check_key(self, request: RequestInfo) -> Refusal | None:
        if self.keys is None:
            return None
        key = find_key(self.keys, token_of(request.headers))
        if key is None:
            return _NO_KEY
        wait_s = self._usage.take(key, self._clock())
        if wait_s is not None:
            return Refusal(429, "this key is used up for now", "rate_limit_error", wait_s)
        request.key_name = key.name
        strip_keys(request)
        return None


def strip_keys(request: RequestInfo) -> None:
    """Take from a request what upstreams would take for a key."""
    request.headers[:] = [one for one in request.headers if one[0].lower() not in _KEY_HEADERS]
