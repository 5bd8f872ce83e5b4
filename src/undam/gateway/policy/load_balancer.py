"""Load balancing between upstreams: the less busy of two random choices, with ejection. No I/O.

An upstream that fails at once has few requests in flight. If that alone decided, it would attract
nearly all traffic. After an error, a request is therefore counted as in flight for as long as a
successful one usually takes.

Requests of one conversation go to the upstream that probably holds their prefix in its cache, as
long as it has at most twice the average load. A conversation may also have only a limited share of
the load of one upstream, so that a prefix which many requests share is cached by several upstreams.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from math import ceil

from undam.gateway.config.limits import EjectionLimits
from undam.gateway.policy.affinity import preference

# Assumed duration of a request before any was measured, and weight of each new measurement.
_DEFAULT_DURATION_S = 1.0
_DURATION_WEIGHT = 0.05
# In simulations with four and ten replicas, over 98 % of the requests found their prefix cached
# with these limits. The p99 did not exceed the p99 of hashing without limits or of two random
# choices.
_MAX_LOAD_OF_MEAN = 2.0
_MIN_LOAD = 4
_MAX_CONVERSATION_OF_MEAN = 0.5
_MIN_OF_CONVERSATION = 2
_MAX_COUNTED_S = 10.0
_MAX_COUNTED_ERRORS = 10_000


@dataclass(slots=True, eq=False)
class Backend:
    """Load and health of one upstream.

    Args:
        limit: maximum number of concurrent streams; 0 means no limit.
        outstanding: current number of streams.
        draining: the upstream was removed from the configuration. It gets no new streams and is
            dropped when its last stream ends.
        healthy: result of the active health check; ``True`` if there are no checks.
        failures: number of consecutive failures.
        ejections: number of ejections; reset if the last one was long ago.
        ejected_until_s: end of the current ejection; ``None`` if the upstream is not ejected.
        restored_at_s: end of the last ejection.
        trial_running: one request is testing whether the ejected upstream works again.
        quick_errors: times until which requests that ended with an error count as in flight.
        conversations: number of streams by conversation.
        models: the models that the upstream serves; empty if it serves all.
        priority: backends with a higher number are used only if no other one is available.
    """

    name: str
    limit: int = 0
    outstanding: int = 0
    draining: bool = False
    healthy: bool = True
    failures: int = 0
    ejections: int = 0
    ejected_until_s: float | None = None
    restored_at_s: float = 0.0
    trial_running: bool = False
    quick_errors: deque[float] = field(default_factory=deque)
    conversations: dict[int, int] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    priority: int = 0

    @property
    def full(self) -> bool:
        """True if the stream limit is reached."""
        return 0 < self.limit <= self.outstanding

    @property
    def available(self) -> bool:
        """True if the upstream is healthy and not ejected."""
        return self.ejected_until_s is None and self.healthy

    def load(self, now_s: float) -> int:
        """Return the load for comparisons: the number of streams, plus recent errors."""
        errors = self.quick_errors
        while errors and errors[0] <= now_s:
            errors.popleft()
        return self.outstanding + len(errors)


@dataclass(slots=True, eq=False)
class Lease:
    """Slot for one stream on a backend; released once, with `LoadBalancer.release`.

    Args:
        started_s: time at which the stream began.
        trial: whether this stream tests an ejected backend.
        conversation: identifies the conversation; 0 if it is unknown.
    """

    backend: Backend
    started_s: float
    trial: bool = False
    conversation: int = 0

    @property
    def name(self) -> str:
        """Name of the backend's upstream."""
        return self.backend.name


class LoadBalancer:
    """The backends of one gateway process.

    Args:
        limits: maximum number of concurrent streams by upstream name; 0 means no limit.
        rng: draws the two backends that are compared.
    """

    def __init__(
        self,
        limits: Mapping[str, int],
        *,
        rng: random.Random,
        ejection: EjectionLimits | None = None,
    ) -> None:
        self._rng = rng
        self.ejection = ejection or EjectionLimits()
        self._backends = {name: Backend(name, limit) for name, limit in limits.items()}
        self._typical_s = _DEFAULT_DURATION_S

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All backends, including those that are draining."""
        return tuple(self._backends.values())

    def choose(
        self,
        now_s: float,
        *,
        exclude: Container[str] = (),
        allow_trial: bool = True,
        model: str = "",
        conversation: int = 0,
    ) -> Backend | None:
        """Return the backend for the next stream, or ``None`` if none has capacity.

        If no backend is available, the ejected or unhealthy one with the best rank is used.

        Args:
            exclude: names of backends on which this request failed or is in flight.
            allow_trial: whether the request may go to an ejected or unhealthy backend.
            model: name of the requested model; empty if it is unknown.
            conversation: identifies the conversation; 0 if it is unknown.
        """
        available: list[Backend] = []
        unavailable: list[Backend] = []
        for backend in self._backends.values():
            if backend.draining or backend.full or backend.name in exclude:
                continue
            if model and backend.models and model not in backend.models:
                continue
            if backend.available:
                available.append(backend)
            elif allow_trial and _due_for_trial(backend, now_s):
                return backend
            else:
                unavailable.append(backend)
        if available:
            if len(available) == 1:
                return available[0]
            first = min([backend.priority for backend in available])
            available = [backend for backend in available if backend.priority == first]
            if conversation and len(available) > 1:
                return self._warm(available, conversation, now_s)
            return self._less_busy(available, now_s)
        return min(unavailable, key=_rank, default=None) if allow_trial else None

    def acquire(self, backend: Backend, now_s: float, conversation: int = 0) -> Lease:
        """Start a stream on a backend that `choose` returned."""
        backend.outstanding += 1
        if conversation:
            backend.conversations[conversation] = backend.conversations.get(conversation, 0) + 1
        trial = _due_for_trial(backend, now_s)
        backend.trial_running = backend.trial_running or trial
        return Lease(backend, now_s, trial, conversation)

    def has_capacity(self, reserved: int = 0) -> bool:
        """Return whether one more stream can start in addition to ``reserved`` admitted ones."""
        free = 0
        for backend in self._backends.values():
            if backend.draining:
                continue
            if not backend.limit:
                return True
            free += max(0, backend.limit - backend.outstanding)
        return free > reserved

    def backend(self, name: str) -> Backend | None:
        """Return the backend called ``name``, even if it is draining."""
        return self._backends.get(name)

    def succeeded(self, lease: Lease, now_s: float) -> None:
        """Record that the upstream sent content, or a response that is not a failure."""
        backend = lease.backend
        backend.failures = 0
        _end_trial(lease)
        if backend.ejected_until_s is not None:
            backend.ejected_until_s, backend.restored_at_s = None, now_s

    def failed(self, lease: Lease, now_s: float) -> bool:
        """Record a refused connection, a timeout, a failure status or a broken connection.

        Only failures before the first content count.

        Returns:
            Whether the failure ejected the backend.
        """
        backend, ejection = lease.backend, self.ejection
        backend.failures += 1
        trial_failed = lease.trial and backend.trial_running
        _end_trial(lease)
        if backend.ejected_until_s is not None and not trial_failed:
            return False
        if backend.ejected_until_s is None:
            if backend.failures < ejection.failures:
                return False
            if now_s - backend.restored_at_s > ejection.max_s:
                backend.ejections = 0
        duration_s = min(ejection.max_s, ejection.base_s * 2 ** min(backend.ejections, 30))
        backend.ejected_until_s = now_s + duration_s
        backend.ejections += 1
        return True

    def set_aside(self, lease: Lease, now_s: float, seconds: float) -> bool:
        """Eject a backend for the time that its response specified.

        Returns:
            Whether the backend was available before.
        """
        backend = lease.backend
        _end_trial(lease)
        was_available = backend.ejected_until_s is None
        until_s = now_s + min(seconds, self.ejection.max_s)
        backend.ejected_until_s = max(until_s, backend.ejected_until_s or 0.0)
        return was_available

    def completed(self, lease: Lease, now_s: float) -> None:
        """Record the duration of a successful request."""
        self._typical_s += _DURATION_WEIGHT * (now_s - lease.started_s - self._typical_s)

    def ended_with_error(self, lease: Lease, now_s: float) -> None:
        """Record a failed request, which remains part of the load for a typical duration."""
        until_s = lease.started_s + min(self._typical_s, _MAX_COUNTED_S)
        errors = lease.backend.quick_errors
        if until_s > now_s and len(errors) < _MAX_COUNTED_ERRORS:
            errors.append(max(until_s, errors[-1]) if errors else until_s)

    def release(self, lease: Lease) -> None:
        """End a stream, whatever the result."""
        backend = lease.backend
        backend.outstanding -= 1
        if lease.conversation:
            left = backend.conversations.pop(lease.conversation) - 1
            if left:
                backend.conversations[lease.conversation] = left
        # A trial whose client disconnected has no result, so the next request may be a trial.
        _end_trial(lease)
        if (
            backend.draining
            and not backend.outstanding
            and self._backends.get(backend.name) is backend
        ):
            del self._backends[backend.name]

    def set_healthy(self, name: str, healthy: bool) -> None:
        """Record the result of an active health check."""
        if name in self._backends:
            self._backends[name].healthy = healthy

    def replace(self, limits: Mapping[str, int]) -> tuple[str, ...]:
        """Replace the set of upstreams.

        Removed upstreams get no new streams and are dropped when their last stream ends.

        Returns:
            The names of the removed upstreams.
        """
        for name, limit in limits.items():
            backend = self._backends.setdefault(name, Backend(name))
            backend.limit, backend.draining = limit, False
        removed = tuple(name for name in self._backends if name not in limits)
        for name in removed:
            self._backends[name].draining = True
            if not self._backends[name].outstanding:
                del self._backends[name]
        return removed

    def serves(self, model: str) -> bool:
        """Return whether any backend serves ``model``."""
        for backend in self._backends.values():
            if not backend.models or model in backend.models:
                return True
        return False

    def set_properties(self, name: str, *, models: frozenset[str], priority: int) -> None:
        """Set the models and the priority of a backend."""
        backend = self._backends.get(name)
        if backend is not None:
            backend.models, backend.priority = models, priority

    def _warm(self, candidates: list[Backend], conversation: int, now_s: float) -> Backend:
        """Return the backend that the conversation prefers among those that are not busy."""
        loads = [backend.load(now_s) for backend in candidates]
        mean = (sum(loads) + 1) / len(candidates)
        limit = max(_MIN_LOAD, ceil(_MAX_LOAD_OF_MEAN * mean))
        limit_of_one = max(_MIN_OF_CONVERSATION, ceil(_MAX_CONVERSATION_OF_MEAN * mean))
        free = [
            backend
            for backend, load in zip(candidates, loads, strict=True)
            if load < limit and backend.conversations.get(conversation, 0) < limit_of_one
        ]
        if not free:
            return self._less_busy(candidates, now_s)
        if len(free) == 1:
            return free[0]
        return max(free, key=lambda one: preference(conversation, one.name))

    def _less_busy(self, candidates: list[Backend], now_s: float) -> Backend:
        """Return the less busy of two random candidates."""
        if len(candidates) == 1:
            return candidates[0]
        # Two draws without replacement; `Random.sample` is slower for such small numbers.
        first = int(self._rng.random() * len(candidates))
        second = int(self._rng.random() * (len(candidates) - 1))
        one, other = candidates[first], candidates[second + (second >= first)]
        return one if one.load(now_s) <= other.load(now_s) else other


def _due_for_trial(backend: Backend, now_s: float) -> bool:
    """Return whether the ejection has expired and no other request is testing the backend."""
    until = backend.ejected_until_s
    return until is not None and until <= now_s and backend.healthy and not backend.trial_running


def _end_trial(lease: Lease) -> None:
    if lease.trial:
        lease.trial = lease.backend.trial_running = False


def _rank(backend: Backend) -> tuple[bool, int, int]:
    return (not backend.healthy, backend.failures, backend.outstanding)
