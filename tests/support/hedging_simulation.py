"""A small discrete simulation: replicas with slots and queues, requests that come at random, and
the gateway's own balance and hedging in between. Seeded; no clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from undam.gateway.policy.hedging import HedgeLimits, HedgeTarget, Hedging
from undam.gateway.policy.load_balancer import Backend, Lease, LoadBalancer


@dataclass(frozen=True)
class SimulationSettings:
    """Replicas of ``slots`` streams each. A request waits for a slot, holds it for its time to
    the first content and for its decoding, and leaves.

    Args:
        load: offered work by what the replicas can do.
        stalls: the share of attempts whose content takes 2 s more, without work.
        limit: what the gateway is told of each replica's slots; 0 is nothing.
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
    """What became of it."""

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
    came_s: float
    attempts: list[_Attempt] = field(default_factory=list)
    done: bool = False
    hedge_due: bool = False


class _Simulation:
    def __init__(self, world: SimulationSettings, terms: HedgeLimits) -> None:
        self.world, self.seen = world, SimulationResult()
        self._rng = random.Random(world.seed)
        names = {f"replica-{number}": world.limit for number in range(world.replicas)}
        self._balance = LoadBalancer(names, rng=random.Random(world.seed + 1))
        self._hedging = Hedging(terms)
        self._queues: dict[str, deque[_Attempt]] = {name: deque() for name in names}
        self._busy = dict.fromkeys(names, 0)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._waiting: deque[_Request] = deque()

    def run(self) -> SimulationResult:
        world, at = self.world, 0.0
        # The mean of a lognormal is above its median; stalls hold a slot, too.
        work = world.prefill_s * 2.718281828 ** (world.sigma**2 / 2) + world.decode_s
        work += world.stalls * world.stall_s
        rate = world.load * world.replicas * world.slots / work
        for _ in range(world.requests):
            at += self._rng.expovariate(rate)
            self._at(at, self._come)
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        return self.seen

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _come(self, now: float) -> None:
        request = _Request(now)
        self._hedging.asked()
        self._admit(request, now)

    def _admit(self, request: _Request, now: float) -> None:
        backend = self._balance.choose(now)
        if backend is None:
            self._waiting.append(request)
        else:
            self._place(request, backend, now, hedge=False)

    def _place(self, request: _Request, backend: Backend, now: float, *, hedge: bool) -> None:
        lease = self._balance.began(backend, now)
        attempt = _Attempt(request, lease, now, hedge)
        request.attempts.append(attempt)
        self._queues[lease.name].append(attempt)
        self._serve(lease.name, now)
        if not hedge:
            delay = self._hedging.delay_s("m")
            if delay is not None:
                request.hedge_due = True
                self._at(now + delay, partial(self._due, request))

    def _due(self, request: _Request, now: float) -> None:
        if request.done:
            return
        request.hedge_due = False
        first = request.attempts[0]
        backend = self._balance.choose(now, without={first.lease.name}, trial=False)
        if backend is None:
            self._deny("no-room")
            return
        target = HedgeTarget(backend.name, backend.outstanding, backend.limit)
        denial = self._hedging.take(target, now, queued=bool(self._waiting))
        if denial is not None:
            self._deny(denial.value)
            return
        self.seen.hedges += 1
        self._place(request, backend, now, hedge=True)

    def _deny(self, why: str) -> None:
        self.seen.denied[why] = self.seen.denied.get(why, 0) + 1

    def _serve(self, name: str, now: float) -> None:
        queue = self._queues[name]
        while queue and self._busy[name] < self.world.slots:
            attempt = queue.popleft()
            self._busy[name] += 1
            attempt.state = "prefill"
            takes = self.world.prefill_s * self._rng.lognormvariate(0, self.world.sigma)
            if self._rng.random() < self.world.stalls:
                takes += self.world.stall_s
            self._at(now + takes, partial(self._content, attempt))

    def _content(self, attempt: _Attempt, now: float) -> None:
        if attempt.state != "prefill":
            return
        request = attempt.request
        attempt.state, request.done = "decode", True
        self.seen.ttft_s.append(now - request.came_s)
        self._balance.succeeded(attempt.lease, now)
        self._hedging.answered("m", attempt.lease.name, now - attempt.sent_s, now)
        if request.hedge_due:
            self._hedging.in_time()
        if len(request.attempts) > 1:
            self._hedging.decided(now, won=attempt.hedge)
        self._at(now + self.world.decode_s, partial(self._leave, attempt))
        for other in request.attempts:
            if other is not attempt:
                self._cancel(other, now)

    def _cancel(self, attempt: _Attempt, now: float) -> None:
        name = attempt.lease.name
        self._hedging.answered("m", name, now - attempt.sent_s, now)
        if attempt.state == "queued":
            self._queues[name].remove(attempt)
            attempt.state = "left"
            self._balance.ended(attempt.lease)
        else:
            self._leave(attempt, now)

    def _leave(self, attempt: _Attempt, now: float) -> None:
        attempt.state = "left"
        self._balance.ended(attempt.lease)
        self._busy[attempt.lease.name] -= 1
        self._serve(attempt.lease.name, now)
        if self._waiting and self._balance.has_room():
            self._admit(self._waiting.popleft(), now)


def simulate(world: SimulationSettings, terms: HedgeLimits) -> SimulationResult:
    """Everything that happens to the requests of ``world``."""
    return _Simulation(world, terms).run()
