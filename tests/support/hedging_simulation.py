"""Discrete-event simulation of replicas behind the gateway's load balancing and hedging.

Replicas have slots and queues, and requests arrive at random. The simulation is seeded and uses no
clock.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from undam.gateway.config.limits import HedgeLimits
from undam.gateway.policy.hedging import HedgeTarget, Hedging
from undam.gateway.policy.load_balancer import Backend, Lease, LoadBalancer


@dataclass(frozen=True)
class SimulationSettings:
    """Parameters of the simulated replicas and requests.

    A request waits for a slot and occupies it for its prefill and decoding time.

    Args:
        load: offered load, as a share of the capacity of all replicas.
        stalls: share of attempts whose content is ``stall_s`` late.
        slots: concurrent streams per replica.
        limit: stream limit per replica that the gateway applies; 0 means none.
    """

    load: float
    stalls: float = 0.03
    replicas: int = 2
    slots: int = 8
    prefill_s: float = 0.05
    sigma: float = 0.3
    decode_s: float = 0.15
    requests: int = 4000
    limit: int = 0
    seed: int = 1
    stall_s: float = 2.0


@dataclass
class SimulationResult:
    """TTFTs in order of completion, and the number of hedges sent and denied."""

    ttft_s: list[float] = field(default_factory=list)
    hedges: int = 0
    denied: dict[str, int] = field(default_factory=dict)

    def quantile(self, q: float, skip: int = 500) -> float:
        ordered = sorted(self.ttft_s[skip:])
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


@dataclass(eq=False)
class _Attempt:
    request: _Request
    lease: Lease
    sent_s: float
    hedge: bool
    state: str = "queued"


@dataclass(eq=False)
class _Request:
    arrived_s: float
    attempts: list[_Attempt] = field(default_factory=list)
    done: bool = False
    hedge_due: bool = False


class _Simulation:
    def __init__(self, settings: SimulationSettings, limits: HedgeLimits) -> None:
        self.settings, self.result = settings, SimulationResult()
        self._rng = random.Random(settings.seed)
        names = {f"replica-{number}": settings.limit for number in range(settings.replicas)}
        self._balancer = LoadBalancer(names, rng=random.Random(settings.seed + 1))
        self._hedging = Hedging(limits)
        self._queues: dict[str, deque[_Attempt]] = {name: deque() for name in names}
        self._busy = dict.fromkeys(names, 0)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._waiting: deque[_Request] = deque()

    def run(self) -> SimulationResult:
        settings, at = self.settings, 0.0
        # A lognormal distribution's mean is higher than its median. A stall also occupies a slot.
        work = settings.prefill_s * 2.718281828 ** (settings.sigma**2 / 2) + settings.decode_s
        work += settings.stalls * settings.stall_s
        rate = settings.load * settings.replicas * settings.slots / work
        for _ in range(settings.requests):
            at += self._rng.expovariate(rate)
            self._at(at, self._arrive)
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        return self.result

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _arrive(self, now: float) -> None:
        request = _Request(now)
        self._hedging.count_request()
        self._admit(request, now)

    def _admit(self, request: _Request, now: float) -> None:
        backend = self._balancer.choose(now)
        if backend is None:
            self._waiting.append(request)
        else:
            self._send(request, backend, now, hedge=False)

    def _send(self, request: _Request, backend: Backend, now: float, *, hedge: bool) -> None:
        lease = self._balancer.acquire(backend, now)
        attempt = _Attempt(request, lease, now, hedge)
        request.attempts.append(attempt)
        self._queues[lease.name].append(attempt)
        self._serve(lease.name, now)
        if not hedge:
            delay = self._hedging.delay_s("m")
            if delay is not None:
                request.hedge_due = True
                self._at(now + delay, partial(self._hedge_due, request))

    def _hedge_due(self, request: _Request, now: float) -> None:
        if request.done:
            return
        request.hedge_due = False
        first = request.attempts[0]
        backend = self._balancer.choose(now, exclude={first.lease.name}, allow_trial=False)
        if backend is None:
            self._deny("no-backend")
            return
        target = HedgeTarget(backend.name, backend.outstanding, backend.limit)
        denial = self._hedging.request_hedge(target, now, queued=bool(self._waiting))
        if denial is not None:
            self._deny(denial.value)
            return
        self.result.hedges += 1
        self._send(request, backend, now, hedge=True)

    def _deny(self, why: str) -> None:
        self.result.denied[why] = self.result.denied.get(why, 0) + 1

    def _serve(self, name: str, now: float) -> None:
        queue = self._queues[name]
        while queue and self._busy[name] < self.settings.slots:
            attempt = queue.popleft()
            self._busy[name] += 1
            attempt.state = "prefill"
            duration_s = self.settings.prefill_s * self._rng.lognormvariate(0, self.settings.sigma)
            if self._rng.random() < self.settings.stalls:
                duration_s += self.settings.stall_s
            self._at(now + duration_s, partial(self._content, attempt))

    def _content(self, attempt: _Attempt, now: float) -> None:
        if attempt.state != "prefill":
            return
        request = attempt.request
        attempt.state, request.done = "decode", True
        self.result.ttft_s.append(now - request.arrived_s)
        self._balancer.succeeded(attempt.lease, now)
        self._hedging.record_ttft("m", attempt.lease.name, now - attempt.sent_s, now)
        if request.hedge_due:
            self._hedging.record_on_time()
        if len(request.attempts) > 1:
            self._hedging.record_result(now, won=attempt.hedge)
        self._at(now + self.settings.decode_s, partial(self._finish, attempt))
        for other in request.attempts:
            if other is not attempt:
                self._cancel(other, now)

    def _cancel(self, attempt: _Attempt, now: float) -> None:
        name = attempt.lease.name
        self._hedging.record_ttft("m", name, now - attempt.sent_s, now)
        if attempt.state == "queued":
            self._queues[name].remove(attempt)
            attempt.state = "ended"
            self._balancer.release(attempt.lease)
        else:
            self._finish(attempt, now)

    def _finish(self, attempt: _Attempt, now: float) -> None:
        attempt.state = "ended"
        self._balancer.release(attempt.lease)
        self._busy[attempt.lease.name] -= 1
        self._serve(attempt.lease.name, now)
        if self._waiting and self._balancer.has_capacity():
            self._admit(self._waiting.popleft(), now)


def simulate(settings: SimulationSettings, limits: HedgeLimits) -> SimulationResult:
    """Simulate all requests; return their TTFTs and the hedges."""
    return _Simulation(settings, limits).run()
