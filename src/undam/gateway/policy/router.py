"""Decides where each request goes: balance, hedging and the way in, for the relay."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from undam.apis import MESSAGES, PLAIN
from undam.gateway.config.config import Config
from undam.gateway.interfaces import LocalResponse, Refusal, RequestInfo, Upstream, UpstreamResult
from undam.gateway.policy.admission_control import AdmissionControl, AdmissionPermit, strip_keys
from undam.gateway.policy.hedging import HedgeTarget, Hedging
from undam.gateway.policy.keys import Key
from undam.gateway.policy.load_balancer import Backend, Lease, LoadBalancer
from undam.gateway.telemetry.metric_definitions import QUEUED, UPSTREAM_USABLE
from undam.gateway.telemetry.metrics import WorkerMetrics

HEDGE_HEADER = b"x-undam-hedge"
"""``allow`` says that this request may be sent twice whatever its path, ``deny`` that it must not
be hedged."""


@dataclass(slots=True, eq=False)
class _Attempt:
    lease: Lease
    began_s: float
    hedge: bool
    content: bool = False


@dataclass(slots=True, eq=False)
class _InFlight:
    """A request on its way; kept here, so that its id is nobody else's."""

    request: RequestInfo
    attempts: list[_Attempt] = field(default_factory=list)
    delay: bool = False
    picked: str = ""
    hedged: bool = False
    content: bool = False
    # A loser is dropped just before the winner's content is told: the upstream, and how long it
    # had waited.
    dropped: tuple[str, float] | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a router lives among.

    Args:
        clock: seconds, as the relay counts them.
        rng: draws upstreams.
        say: told, in one line, what an operator wants to know.
    """

    metrics: WorkerMetrics
    clock: Callable[[], float]
    rng: random.Random
    say: Callable[[str], None]


class GatewayRouter:
    """A `Router` over one `Config`, which `apply` may replace while requests go on.

    Args:
        upstreams: one for each of the config's, of the same name.
        pages: answers what is under ``/-/``.
    """

    def __init__(
        self,
        config: Config,
        upstreams: Collection[Upstream],
        *,
        pages: Callable[[RequestInfo], LocalResponse | Awaitable[LocalResponse] | None],
        dependencies: Dependencies,
    ) -> None:
        self.page = pages
        self._config = config
        self._clock = dependencies.clock
        self._metrics = dependencies.metrics
        self._say = dependencies.say
        self._upstreams = {one.name: one for one in upstreams}
        self._upstream_key = ""
        self.balancer = LoadBalancer(
            config.limits, rng=dependencies.rng, terms=config.ejection_limits
        )
        self.hedging = Hedging(config.hedge_limits)
        self.admission = AdmissionControl(
            config.admission_limits,
            clock=dependencies.clock,
            room=self.balancer.has_room,
            on_queue=lambda count: dependencies.metrics.set(QUEUED, count),
            on_left=self._left,
        )
        self._in_flight: dict[int, _InFlight] = {}
        self._publish_usable()

    def apply(self, config: Config, upstreams: Collection[Upstream]) -> tuple[str, ...]:
        """Go on under ``config``. The names of the upstreams that get no new stream come back."""
        self._config = config
        self._upstreams |= {one.name: one for one in upstreams}
        leaving = self.balancer.replace(config.limits)
        for name in leaving:
            self.hedging.forget(name)
            self._metrics.set(UPSTREAM_USABLE, 0, name)
        self._upstreams = {
            name: one for name, one in self._upstreams.items() if self.balancer.backend(name)
        }
        self.balancer.terms = config.ejection_limits
        self.hedging.terms = config.hedge_limits
        self.admission.queue.terms = config.admission_limits
        self.admission.let_in()
        self._publish_usable()
        return leaving

    def use_keys(self, keys: tuple[Key, ...] | None, upstream_key: str) -> None:
        """Let in who has one of these (``None``: everybody), and ask upstreams with this one."""
        self.admission.keys = keys
        self._upstream_key = upstream_key

    def checked(self, name: str, *, well: bool) -> None:
        """An active check of an upstream found it so."""
        backend = self.balancer.backend(name)
        if backend is not None and backend.well != well:
            self.balancer.checked(name, well=well)
            self._say(f"upstream {name} {'is well again' if well else 'fails its health check'}")
            self._publish_usable()

    def admit(
        self, request: RequestInfo
    ) -> AdmissionPermit | Refusal | Awaitable[AdmissionPermit | Refusal]:
        """See ``Router``."""
        answer = self.admission.enter(request)
        if not isinstance(answer, Refusal) and self._upstream_key:
            strip_keys(request)
            key = self._upstream_key.encode("ascii")
            request.headers.append(
                (b"X-Api-Key", key)
                if request.api.name == MESSAGES.name
                else (b"Authorization", b"Bearer " + key)
            )
        return answer

    def choose(self, request: RequestInfo, tried: Collection[Upstream]) -> Upstream | None:
        """See ``Router``."""
        names = {one.name for one in tried}
        entry = self._in_flight.get(id(request))
        if entry is not None and entry.picked and entry.picked not in names:
            return self._upstreams.get(entry.picked)
        backend = self.balancer.choose(self._clock(), without=names)
        return None if backend is None else self._upstreams.get(backend.name)

    def began(self, upstream: Upstream, request: RequestInfo) -> None:
        """See ``Router``."""
        now = self._clock()
        entry = self._entry(request)
        backend = self.balancer.backend(upstream.name) or Backend(upstream.name, draining=True)
        hedge = entry.picked == upstream.name
        entry.picked = ""
        entry.attempts.append(_Attempt(self.balancer.began(backend, now), now, hedge))
        self.admission.sent(request)

    def ended(self, upstream: Upstream, request: RequestInfo, result: UpstreamResult) -> None:
        """See ``Router``."""
        entry = self._in_flight.get(id(request))
        attempt = None if entry is None else _attempt_on(entry, upstream.name)
        if entry is None or attempt is None:
            return
        if not attempt.content:
            self._judge(request, entry, attempt, result)
        self.balancer.ended(attempt.lease)
        if self.balancer.backend(upstream.name) is None:
            self._upstreams.pop(upstream.name, None)
        entry.attempts.remove(attempt)
        if entry.left and not entry.attempts:
            del self._in_flight[id(request)]
        self.admission.let_in()

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """See ``Router``."""
        terms = self.hedging.terms
        if terms.mode == "off" or len(self._upstreams) < 2 or not self._may_repeat(request):
            return None
        self.hedging.asked()
        delay_s = self.hedging.delay_s(request.model)
        if delay_s is not None:
            self._entry(request).delay = True
        return delay_s

    def may_hedge(self, request: RequestInfo) -> bool:
        """See ``Router``."""
        entry = self._in_flight.get(id(request))
        if entry is None or entry.hedged:
            return False
        now = self._clock()
        entry.delay = False
        names = {attempt.lease.name for attempt in entry.attempts}
        backend = self.balancer.choose(now, without=names, trial=False)
        if backend is None:
            return False
        target = HedgeTarget(backend.name, backend.outstanding, backend.limit)
        denial = self.hedging.take(target, now, queued=self.admission.queue.crowded)
        if denial is not None:
            self._metrics.denied_because(denial.value)
            return False
        entry.picked, entry.hedged = backend.name, True
        return True

    def saw_first_content(self, upstream: Upstream, request: RequestInfo, ttft_s: float) -> None:
        """See ``Router``."""
        entry = self._in_flight.get(id(request))
        attempt = None if entry is None else _attempt_on(entry, upstream.name)
        if entry is None or attempt is None:
            return
        now = self._clock()
        attempt.content = True
        self._succeeded(attempt, now)
        if not request.streams or request.api is PLAIN:
            return
        self.hedging.answered(request.model, upstream.name, ttft_s, now)
        if entry.dropped is not None:
            self.hedging.answered(request.model, *entry.dropped, now)
            entry.dropped = None
        if entry.delay:
            self.hedging.in_time()
        if entry.hedged and not entry.content:
            self.hedging.decided(now, won=attempt.hedge)
        entry.content = True

    def _entry(self, request: RequestInfo) -> _InFlight:
        entry = self._in_flight.get(id(request))
        if entry is None:
            entry = self._in_flight[id(request)] = _InFlight(request)
        return entry

    def _left(self, request: RequestInfo) -> None:
        entry = self._in_flight.get(id(request))
        if entry is not None:
            entry.left = True
            if not entry.attempts:
                del self._in_flight[id(request)]

    def _may_repeat(self, request: RequestInfo) -> bool:
        said = request.get(HEDGE_HEADER)
        if said is not None:
            return said.strip().lower() == b"allow"
        return request.path.endswith(self._config.hedge_paths)

    def _judge(
        self, request: RequestInfo, entry: _InFlight, attempt: _Attempt, result: UpstreamResult
    ) -> None:
        """What an attempt without content says of its upstream."""
        now, name = self._clock(), attempt.lease.name
        if result is UpstreamResult.OK:
            self._succeeded(attempt, now)
        elif result is UpstreamResult.CANCELLED:
            entry.dropped = (name, now - attempt.began_s)
        elif self.balancer.failed(attempt.lease, now):
            self._say(f"upstream {name} is set aside: {result.value}")
            self._publish_usable()
        if request.streams and result is UpstreamResult.TIMEOUT:
            # It would have taken longer still.
            self.hedging.answered(request.model, name, now - attempt.began_s, now)

    def _succeeded(self, attempt: _Attempt, now: float) -> None:
        aside = attempt.lease.backend.aside
        self.balancer.succeeded(attempt.lease, now)
        if aside and not attempt.lease.backend.aside:
            self._say(f"upstream {attempt.lease.name} is back")
            self._publish_usable()

    def _publish_usable(self) -> None:
        for one in self.balancer.backends:
            usable = not one.aside and not one.draining
            self._metrics.set(UPSTREAM_USABLE, int(usable), one.name)


def _attempt_on(entry: _InFlight, name: str) -> _Attempt | None:
    for one in entry.attempts:
        if one.lease.name == name:
            return one
    return None
