"""Routing of requests to upstreams: admission, load balancing, hedging and ejection."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import unquote

from undam.apis import MESSAGES, PLAIN
from undam.gateway.config.config import Config
from undam.gateway.interfaces import LocalResponse, Refusal, RequestInfo, Upstream, UpstreamResult
from undam.gateway.policy.admission_control import AdmissionControl, AdmissionPermit, strip_keys
from undam.gateway.policy.affinity import affinity_key
from undam.gateway.policy.hedging import HedgeTarget, Hedging
from undam.gateway.policy.keys import Key
from undam.gateway.policy.load_balancer import Backend, Lease, LoadBalancer
from undam.gateway.telemetry.metric_definitions import QUEUED, UPSTREAM_USABLE
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.model_labels import clean_label

_MODELS = re.compile(r"(?:/v1)?/models(?:/(.+?))?/?")
HEDGE_HEADER = b"x-undam-hedge"
"""Request header: ``allow`` permits a second request on any path, ``deny`` forbids hedging."""


@dataclass(slots=True, eq=False)
class _Attempt:
    lease: Lease
    began_s: float
    hedge: bool
    content: bool = False


@dataclass(slots=True, eq=False)
class _InFlight:
    """State of one request. The reference to the request keeps its ``id`` from being reused.

    Args:
        hedge_due: a hedge delay is running; content before its end counts as on time.
        hedge_upstream: name of the upstream to which a granted hedge will be sent.
        cancelled: upstream and waiting time of the attempt that lost. It is cancelled just before
            the content of the winner is reported.
        released: the permit was released.
        suspects: leases on which the request caused an internal server error. That may be a fault
            of the request, so it counts as a failure only if no other upstream had the same error.
    """

    request: RequestInfo
    attempts: list[_Attempt] = field(default_factory=list)
    hedge_due: bool = False
    hedge_upstream: str = ""
    hedged: bool = False
    content: bool = False
    cancelled: tuple[str, float] | None = None
    released: bool = False
    suspects: list[Lease] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Clock, random numbers and outputs that a router uses.

    Args:
        clock: returns seconds of the same clock as the relay.
        rng: draws upstreams.
        log: writes one line for the operator.
    """

    metrics: WorkerMetrics
    clock: Callable[[], float]
    rng: random.Random
    log: Callable[[str], None]


class GatewayRouter:
    """A `Router` configured by a `Config`, which `apply` may replace while requests are in flight.

    Args:
        upstreams: the upstreams of the config, with the same names.
        local_responses: answers paths under ``/-/``.
    """

    def __init__(
        self,
        config: Config,
        upstreams: Collection[Upstream],
        *,
        local_responses: Callable[[RequestInfo], LocalResponse | Awaitable[LocalResponse] | None],
        dependencies: Dependencies,
    ) -> None:
        self.local_response = local_responses
        self._config = config
        self._clock = dependencies.clock
        self._metrics = dependencies.metrics
        self._log = dependencies.log
        self._upstreams = {one.name: one for one in upstreams}
        self._upstream_key = ""
        self.balancer = LoadBalancer(
            _limits(config, upstreams), rng=dependencies.rng, ejection=config.ejection_limits
        )
        self._set_properties(upstreams)
        self.hedging = Hedging(config.hedge_limits)
        self.admission = AdmissionControl(
            config.admission_limits,
            clock=dependencies.clock,
            has_capacity=self.balancer.has_capacity,
            on_queue=lambda count: dependencies.metrics.set(QUEUED, count),
            on_finish=self._release,
        )
        self._in_flight: dict[int, _InFlight] = {}
        self._removed: set[str] = set()
        self._publish_usable()

    def apply(self, config: Config, upstreams: Collection[Upstream]) -> tuple[str, ...]:
        """Replace the configuration, and return the names of the upstreams that were removed.

        Removed upstreams get no new streams.
        """
        self._config = config
        self._upstreams |= {one.name: one for one in upstreams}
        removed = self.balancer.replace(_limits(config, upstreams))
        self._set_properties(upstreams)
        for name in removed:
            self.hedging.forget(name)
            self._metrics.set(UPSTREAM_USABLE, 0, clean_label(name))
        self._upstreams = {
            name: one for name, one in self._upstreams.items() if self.balancer.backend(name)
        }
        # The metrics of removed upstreams are kept until the next change, so that their last
        # requests are still scraped.
        for name in self._removed - self._upstreams.keys():
            self._metrics.drop_upstream(clean_label(name))
        self._removed = (self._removed & self._upstreams.keys()) | set(removed)
        self._removed -= {one.name for one in upstreams}
        self.balancer.ejection = config.ejection_limits
        self.hedging.limits = config.hedge_limits
        self.admission.queue.limits = config.admission_limits
        self.admission.admit_queued()
        self._publish_usable()
        return removed

    def _set_properties(self, upstreams: Collection[Upstream]) -> None:
        for one in upstreams:
            self.balancer.set_properties(one.name, models=one.models, priority=one.priority)

    def use_keys(self, keys: tuple[Key, ...] | None, upstream_key: str) -> None:
        """Set the accepted client keys (``None``: no key needed) and the key for upstreams."""
        self.admission.keys = keys
        self._upstream_key = upstream_key

    def set_healthy(self, name: str, healthy: bool) -> None:
        """Record the result of an active health check."""
        backend = self.balancer.backend(name)
        if backend is not None and backend.healthy != healthy:
            self.balancer.set_healthy(name, healthy)
            self._log(f"upstream {name} {'passes' if healthy else 'fails'} its health check")
            self._publish_usable()

    def admit(
        self, request: RequestInfo
    ) -> AdmissionPermit | Refusal | Awaitable[AdmissionPermit | Refusal]:
        """See ``Router``."""
        decision = self.admission.enter(request)
        if not isinstance(decision, Refusal) and self._upstream_key:
            strip_keys(request)
            key = self._upstream_key.encode("ascii")
            request.headers.append(
                (b"X-Api-Key", key)
                if request.api.name == MESSAGES.name
                else (b"Authorization", b"Bearer " + key)
            )
        return decision

    def respond(self, request: RequestInfo) -> LocalResponse | Refusal | None:
        """See ``Router``."""
        aliases = self._config.aliases
        if request.method in ("GET", "HEAD") and (path := _MODELS.fullmatch(request.path)):
            served = {model for one in self._upstreams.values() for model in one.models}
            if not served:
                return None
            if not path[1]:
                return models_response(served | aliases.keys())
            request.model = unquote(path[1])
            if request.model in aliases:
                return LocalResponse(
                    200, b"application/json", json.dumps(_model(request.model)).encode()
                )
        request.model = aliases.get(request.model, request.model)
        if request.model and not self.balancer.serves(request.model):
            return Refusal(404, "no upstream serves this model", "not_found_error")
        return None

    def choose(self, request: RequestInfo, tried: Collection[Upstream]) -> Upstream | None:
        """See ``Router``."""
        names = {one.name for one in tried}
        state = self._in_flight.get(id(request))
        if state is not None and state.hedge_upstream and state.hedge_upstream not in names:
            return self._upstreams.get(state.hedge_upstream)
        backend = self.balancer.choose(
            self._clock(),
            exclude=names,
            model=request.model,
            conversation=affinity_key(self._config.affinity, request),
        )
        return None if backend is None else self._upstreams.get(backend.name)

    def attempt_started(self, upstream: Upstream, request: RequestInfo) -> None:
        """See ``Router``."""
        now = self._clock()
        state = self._state(request)
        backend = self.balancer.backend(upstream.name) or Backend(upstream.name, draining=True)
        hedge = state.hedge_upstream == upstream.name
        state.hedge_upstream = ""
        conversation = affinity_key(self._config.affinity, request)
        lease = self.balancer.acquire(backend, now, conversation)
        state.attempts.append(_Attempt(lease, now, hedge))
        self.admission.forwarded(request)

    def attempt_ended(
        self,
        upstream: Upstream,
        request: RequestInfo,
        result: UpstreamResult,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        """See ``Router``."""
        state = self._in_flight.get(id(request))
        attempt = None if state is None else _attempt_on(state, upstream.name)
        if state is None or attempt is None:
            return
        now = self._clock()
        # A stream without content, such as an error page with status 200, is not a success.
        empty = not attempt.content and (status >= 400 or request.streams)
        if result is UpstreamResult.OK and status < 400 and not empty:
            self.balancer.completed(attempt.lease, now)
        if not attempt.content:
            if result not in (UpstreamResult.OK, UpstreamResult.CANCELLED) or (
                empty and result is UpstreamResult.OK
            ):
                self.balancer.ended_with_error(attempt.lease, now)
            if result is UpstreamResult.STATUS and retry_after_s:
                self._set_aside(attempt, now, status, retry_after_s)
            elif result is UpstreamResult.STATUS and status == 500 and not attempt.lease.trial:
                state.suspects.append(attempt.lease)
            else:
                self._record_result(request, state, attempt, result)
        self.balancer.release(attempt.lease)
        if self.balancer.backend(upstream.name) is None:
            self._upstreams.pop(upstream.name, None)
        state.attempts.remove(attempt)
        if state.released and not state.attempts:
            self._forget(state)
        self.admission.admit_queued()

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """See ``Router``."""
        if (
            self.hedging.limits.mode == "off"
            or len(self._upstreams) < 2
            or not self._hedging_allowed(request)
        ):
            return None
        self.hedging.count_request()
        delay_s = self.hedging.delay_s(request.model)
        if delay_s is not None:
            self._state(request).hedge_due = True
        return delay_s

    def may_hedge(self, request: RequestInfo) -> bool:
        """See ``Router``."""
        state = self._in_flight.get(id(request))
        if state is None or state.hedged:
            return False
        now = self._clock()
        state.hedge_due = False
        names = {attempt.lease.name for attempt in state.attempts}
        backend = self.balancer.choose(now, exclude=names, allow_trial=False, model=request.model)
        if backend is None:
            return False
        target = HedgeTarget(backend.name, backend.outstanding, backend.limit)
        denial = self.hedging.request_hedge(target, now, queued=self.admission.queue.crowded)
        if denial is not None:
            self._metrics.set_denial_reason(denial.value)
            return False
        state.hedge_upstream, state.hedged = backend.name, True
        return True

    def first_content_received(
        self, upstream: Upstream, request: RequestInfo, ttft_s: float
    ) -> None:
        """See ``Router``."""
        state = self._in_flight.get(id(request))
        attempt = None if state is None else _attempt_on(state, upstream.name)
        if state is None or attempt is None:
            return
        now = self._clock()
        attempt.content = True
        self._record_success(state, attempt, now)
        if not request.streams or request.api is PLAIN:
            return
        self.hedging.record_ttft(request.model, upstream.name, ttft_s, now)
        if state.cancelled is not None:
            self.hedging.record_ttft(request.model, *state.cancelled, now)
            state.cancelled = None
        if state.hedge_due:
            self.hedging.record_on_time()
        if state.hedged and not state.content:
            self.hedging.record_result(now, won=attempt.hedge)
        state.content = True

    def _state(self, request: RequestInfo) -> _InFlight:
        state = self._in_flight.get(id(request))
        if state is None:
            state = self._in_flight[id(request)] = _InFlight(request)
        return state

    def _release(self, request: RequestInfo) -> None:
        state = self._in_flight.get(id(request))
        if state is not None:
            state.released = True
            if not state.attempts:
                self._forget(state)

    def _forget(self, state: _InFlight) -> None:
        """Remove a request that has ended."""
        if len(state.suspects) == 1:
            self._confirm_suspects(state)
        del self._in_flight[id(state.request)]

    def _confirm_suspects(self, state: _InFlight) -> None:
        """Count a request's internal server errors as failures of the upstreams that sent them."""
        for lease in state.suspects:
            self._record_failure(lease, "status 500")
        state.suspects.clear()

    def _set_aside(self, attempt: _Attempt, now: float, status: int, retry_after_s: float) -> None:
        """Stop sending requests to an upstream for the time that its response specified."""
        lease = attempt.lease
        if self.balancer.set_aside(lease, now, retry_after_s):
            self._log(f"upstream {lease.name} is ejected for {retry_after_s:g} s: status {status}")
            self._publish_usable()

    def _record_failure(self, lease: Lease, why: str) -> None:
        if self.balancer.failed(lease, self._clock()):
            self._log(f"upstream {lease.name} is ejected: {why}")
            self._publish_usable()

    def _hedging_allowed(self, request: RequestInfo) -> bool:
        value = request.get(HEDGE_HEADER)
        if value is not None:
            return value.strip().lower() == b"allow"
        return request.path.endswith(self._config.hedge_paths)

    def _record_result(
        self, request: RequestInfo, state: _InFlight, attempt: _Attempt, result: UpstreamResult
    ) -> None:
        """Update balancing and hedging after an attempt that returned no content."""
        now, name = self._clock(), attempt.lease.name
        if result is UpstreamResult.OK:
            self._record_success(state, attempt, now)
        elif result is UpstreamResult.CANCELLED:
            state.cancelled = (name, now - attempt.began_s)
        else:
            self._record_failure(attempt.lease, result.value)
        if request.streams and result is UpstreamResult.TIMEOUT:
            # The true TTFT is at least this long.
            self.hedging.record_ttft(request.model, name, now - attempt.began_s, now)

    def _record_success(self, state: _InFlight, attempt: _Attempt, now: float) -> None:
        self._confirm_suspects(state)
        backend = attempt.lease.backend
        was_available = backend.available
        self.balancer.succeeded(attempt.lease, now)
        if backend.available and not was_available:
            self._log(f"upstream {backend.name} is available again")
            self._publish_usable()

    def _publish_usable(self) -> None:
        for backend in self.balancer.backends:
            usable = backend.available and not backend.draining
            self._metrics.set(UPSTREAM_USABLE, int(usable), clean_label(backend.name))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "undam"}


def models_response(models: Collection[str]) -> LocalResponse:
    """Return the response to ``GET /v1/models``."""
    data = [_model(one) for one in sorted(models)]
    body = json.dumps({"object": "list", "data": data}).encode()
    return LocalResponse(200, b"application/json", body)


def _limits(config: Config, upstreams: Collection[Upstream]) -> dict[str, int]:
    """Return the maximum number of concurrent streams for each upstream name; 0 means no limit."""
    return {one.name: one.max_streams or config.upstream_streams for one in upstreams}


def _attempt_on(state: _InFlight, name: str) -> _Attempt | None:
    for attempt in state.attempts:
        if attempt.lease.name == name:
            return attempt
    return None
