"""Admission control for one event loop: check API keys; admit, queue or refuse requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from undam.gateway.config.limits import AdmissionLimits
from undam.gateway.http.cross_origin import is_preflight
from undam.gateway.interfaces import Refusal, RequestInfo
from undam.gateway.policy.admission_queue import AdmissionQueue, Waiter
from undam.gateway.policy.keys import Key, KeyUsage, find_key, token_of

_KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key"})

_STOPPING = Refusal(503, "the gateway is shutting down", "overloaded_error", 1.0)
_QUEUE_FULL = Refusal(
    503, "the gateway is at capacity and its queue is full", "overloaded_error", 1.0
)
_QUEUE_TIMEOUT = Refusal(
    503, "the gateway is at capacity; the request timed out in the queue", "overloaded_error", 1.0
)
_NO_KEY = Refusal(
    401,
    "this gateway requires an API key: Authorization: Bearer KEY",
    "authentication_error",
    headers=((b"WWW-Authenticate", b"Bearer"),),
)


class AdmissionPermit:
    """A `Permit` from `AdmissionControl`; calling ``release`` twice is harmless."""

    __slots__ = ("_control", "released", "request")

    def __init__(self, control: AdmissionControl, request: RequestInfo) -> None:
        self._control = control
        self.request = request
        self.released = False

    def release(self) -> None:
        """See ``Permit``."""
        if not self.released:
            self.released = True
            self._control.finish(self.request)


Decision = AdmissionPermit | Refusal
_Pending = asyncio.Future[Decision]


class AdmissionControl:
    """Controller that admits, queues or refuses requests.

    Args:
        has_capacity: whether the upstreams can take one more request, besides the given number
            of requests that are admitted but not yet forwarded.
        on_queue: called with the number of queued requests whenever it changes.
        on_finish: called when an admitted request ends.

    Attributes:
        keys: the accepted API keys; ``None`` admits requests without a key.
        stopping: refuse every request, because the gateway shuts down.
    """

    def __init__(
        self,
        limits: AdmissionLimits,
        *,
        clock: Callable[[], float],
        has_capacity: Callable[[int], bool],
        on_queue: Callable[[int], None],
        on_finish: Callable[[RequestInfo], None],
    ) -> None:
        self.queue = AdmissionQueue(limits)
        self.keys: tuple[Key, ...] | None = None
        self.stopping = False
        self._clock = clock
        self._has_capacity = has_capacity
        self._on_queue = on_queue
        self._on_finish = on_finish
        self._key_usage = KeyUsage()
        self._pending: dict[Waiter, tuple[_Pending, RequestInfo]] = {}
        # Requests that are admitted but not yet forwarded. They are not yet counted at any
        # upstream.
        self._admitted: dict[int, RequestInfo] = {}

    def enter(self, request: RequestInfo) -> Decision | _Pending:
        """Return a permit or a refusal; if the request is queued, return a future for either.

        The client's key is removed from the headers, and its name is set in ``request``. Cancel
        the future if the client disconnects.
        """
        if self.stopping:
            return _STOPPING
        refusal = self._check_key(request)
        if refusal is not None:
            return refusal
        entered = self.queue.enter(capacity=self._has_capacity(len(self._admitted)))
        if entered == "admitted":
            self._admitted[id(request)] = request
            return AdmissionPermit(self, request)
        if entered == "queue-full":
            self._key_usage.release(request.key_name)
            return _QUEUE_FULL
        return self._wait(entered, request)

    def forwarded(self, request: RequestInfo) -> None:
        """Record that an admitted request was sent to an upstream, where it is now counted."""
        self._admitted.pop(id(request), None)

    def finish(self, request: RequestInfo) -> None:
        """Record the end of an admitted request."""
        self._admitted.pop(id(request), None)
        self._key_usage.release(request.key_name)
        self._on_finish(request)
        self.queue.leave()
        self.admit_queued()

    def admit_queued(self) -> None:
        """Admit queued requests while there is capacity."""
        while True:
            waiter = self.queue.admit_next(capacity=self._has_capacity(len(self._admitted)))
            if waiter is None:
                return
            pending, request = self._pending.pop(waiter)
            self._admitted[id(request)] = request
            permit = AdmissionPermit(self, request)
            pending.set_result(permit)
            self._on_queue(self.queue.waiting)

    def stop(self) -> None:
        """Refuse all queued and future requests."""
        self.stopping = True
        for pending, _ in list(self._pending.values()):
            pending.set_result(_STOPPING)

    def _wait(self, waiter: Waiter, request: RequestInfo) -> _Pending:
        loop = asyncio.get_running_loop()
        pending: _Pending = loop.create_future()
        self._pending[waiter] = (pending, request)
        timer = loop.call_later(
            self.queue.limits.queue_timeout_s, pending.set_result, _QUEUE_TIMEOUT
        )

        def done(_: _Pending) -> None:
            timer.cancel()
            if self._pending.pop(waiter, None) is not None:
                # The queued request was refused, or its client disconnected.
                self.queue.remove(waiter)
                self._key_usage.release(request.key_name)
                self._on_queue(self.queue.waiting)

        pending.add_done_callback(done)
        self._on_queue(self.queue.waiting)
        return pending

    def _check_key(self, request: RequestInfo) -> Refusal | None:
        if self.keys is None or is_preflight(request):
            return None
        key = find_key(self.keys, token_of(request.headers))
        if key is None:
            return _NO_KEY
        retry_after_s = self._key_usage.acquire(key, self._clock())
        if retry_after_s is not None:
            return Refusal(
                429, "the limit of this API key is reached", "rate_limit_error", retry_after_s
            )
        request.key_name = key.name
        strip_keys(request)
        return None


def strip_keys(request: RequestInfo) -> None:
    """Remove all headers that could reveal a client's API key to an upstream."""
    request.headers[:] = [
        one for one in request.headers if one[0].lower().replace(b"_", b"-") not in _KEY_HEADERS
    ]
