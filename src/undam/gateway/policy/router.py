"""Decides where each request goes: balance, hedging and the way in, for the relay."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from undam.apis import MESSAGES, PLAIN
from undam.gateway.config.config import Config
from undam.gateway.interfaces import LocalResponse, Refusal, RequestInfo, Upstream, UpstreamResult
from undam.gateway.policy.admission_control import Entrance, Pass, strip_keys
from undam.gateway.policy.hedging import Hedging, Target
from undam.gateway.policy.keys import Key
from undam.gateway.policy.load_balancer import Balance, Member, Taken
from undam.gateway.telemetry.metric_definitions import QUEUED, UPSTREAM_USABLE
from undam.gateway.telemetry.metrics import Metrics

HEDGE_HEADER = b"x-undam-hedge"
"""``allow`` says that this request may be sent twice whatever its path, ``deny`` that it must not
be hedged."""


@dataclass(slots=True, eq=False)
class _Attempt:
    taken: Taken
    began_s: float
    hedge: bool
    content: bool = False


@dataclass(slots=True, eq=False)
class _Going:
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
class Surroundings:
    """What a director lives among.

    Args:
        clock: seconds, as the relay counts them.
        rng: draws upstreams.
        say: told, in one line, what an operator wants to know.
    """

    metrics: Metrics
    clock: Callable[[], float]
    rng: random.Random
    say: Callable[[str], None]


class GatewayDirector:
    """A `Director` over one `Config`, which `apply` may replace while requests go on.

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
        around: Surroundings,
    ) -> None:
        self.page = pages
        self._config = config
        self._clock = around.clock
        self._metrics = around.metrics
        self._say = around.say
        self._upstreams = {one.name: one for one in upstreams}
        self._upstream_key = ""
        self.balance = Balance(config.limits, rng=around.rng, terms=config.ejection_terms)
        self.hedging = Hedging(config.hedge_terms)
        self.entrance = Entrance(
            config.admission_terms,
            clock=around.clock,
            room=self.balance.has_room,
            on_queue=lambda count: around.metrics.set(QUEUED, count),
            on_left=self._left,
        )
        self._going: dict[int, _Going] = {}
        self._tell_usable()

    def apply(self, config: Config, upstreams: Collection[Upstream]) -> tuple[str, ...]:
        """Go on under ``config``. The names of the upstreams that get no new stream come back."""
        self._config = config
        self._upstreams |= {one.name: one for one in upstreams}
        leaving = self.balance.replace(config.limits)
        for name in leaving:
            self.hedging.forget(name)
            self._metrics.set(UPSTREAM_USABLE, 0, name)
        self._upstreams = {
            name: one for name, one in self._upstreams.items() if self.balance.member(name)
        }
        self.balance.terms = config.ejection_terms
        self.hedging.terms = config.hedge_terms
        self.entrance.admission.terms = config.admission_terms
        self.entrance.let_in()
        self._tell_usable()
        return leaving

    def use_keys(self, keys: tuple[Key, ...] | None, upstream_key: str) -> None:
        """Let in who has one of these (``None``: everybody), and ask upstreams with this one."""
        self.entrance.keys = keys
        self._upstream_key = upstream_key

    def checked(self, name: str, *, well: bool) -> None:
        """An active check of an upstream found it so."""
        member = self.balance.member(name)
        if member is not None and member.well != well:
            self.balance.checked(name, well=well)
            self._say(f"upstream {name} {'is well again' if well else 'fails its health check'}")
            self._tell_usable()

    def admit(self, request: RequestInfo) -> Pass | Refusal | Awaitable[Pass | Refusal]:
        """See ``Director``."""
        answer = self.entrance.enter(request)
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
        """See ``Director``."""
        names = {one.name for one in tried}
        going = self._going.get(id(request))
        if going is not None and going.picked and going.picked not in names:
            return self._upstreams.get(going.picked)
        member = self.balance.choose(self._clock(), without=names)
        return None if member is None else self._upstreams.get(member.name)

    def began(self, upstream: Upstream, request: RequestInfo) -> None:
        """See ``Director``."""
        now = self._clock()
        going = self._going_of(request)
        member = self.balance.member(upstream.name) or Member(upstream.name, draining=True)
        hedge = going.picked == upstream.name
        going.picked = ""
        going.attempts.append(_Attempt(self.balance.began(member, now), now, hedge))
        self.entrance.sent(request)

    def ended(self, upstream: Upstream, request: RequestInfo, result: UpstreamResult) -> None:
        """See ``Director``."""
        going = self._going.get(id(request))
        attempt = None if going is None else _of(going, upstream.name)
        if going is None or attempt is None:
            return
        if not attempt.content:
            self._judge(request, going, attempt, result)
        self.balance.ended(attempt.taken)
        if self.balance.member(upstream.name) is None:
            self._upstreams.pop(upstream.name, None)
        going.attempts.remove(attempt)
        if going.left and not going.attempts:
            del self._going[id(request)]
        self.entrance.let_in()

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """See ``Director``."""
        terms = self.hedging.terms
        if terms.mode == "off" or len(self._upstreams) < 2 or not self._may_repeat(request):
            return None
        self.hedging.asked()
        delay_s = self.hedging.delay_s(request.model)
        if delay_s is not None:
            self._going_of(request).delay = True
        return delay_s

    def may_hedge(self, request: RequestInfo) -> bool:
        """See ``Director``."""
        going = self._going.get(id(request))
        if going is None or going.hedged:
            return False
        now = self._clock()
        going.delay = False
        names = {attempt.taken.name for attempt in going.attempts}
        member = self.balance.choose(now, without=names, trial=False)
        if member is None:
            return False
        target = Target(member.name, member.outstanding, member.limit)
        denial = self.hedging.take(target, now, queued=self.entrance.admission.crowded)
        if denial is not None:
            self._metrics.denied_because(denial.value)
            return False
        going.picked, going.hedged = member.name, True
        return True

    def saw_first_content(self, upstream: Upstream, request: RequestInfo, ttft_s: float) -> None:
        """See ``Director``."""
        going = self._going.get(id(request))
        attempt = None if going is None else _of(going, upstream.name)
        if going is None or attempt is None:
            return
        now = self._clock()
        attempt.content = True
        self._succeeded(attempt, now)
        if not request.streams or request.api is PLAIN:
            return
        self.hedging.answered(request.model, upstream.name, ttft_s, now)
        if going.dropped is not None:
            self.hedging.answered(request.model, *going.dropped, now)
            going.dropped = None
        if going.delay:
            self.hedging.in_time()
        if going.hedged and not going.content:
            self.hedging.decided(now, won=attempt.hedge)
        going.content = True

    def _going_of(self, request: RequestInfo) -> _Going:
        going = self._going.get(id(request))
        if going is None:
            going = self._going[id(request)] = _Going(request)
        return going

    def _left(self, request: RequestInfo) -> None:
        going = self._going.get(id(request))
        if going is not None:
            going.left = True
            if not going.attempts:
                del self._going[id(request)]

    def _may_repeat(self, request: RequestInfo) -> bool:
        said = request.get(HEDGE_HEADER)
        if said is not None:
            return said.strip().lower() == b"allow"
        return request.path.endswith(self._config.hedge_paths)

    def _judge(
        self, request: RequestInfo, going: _Going, attempt: _Attempt, result: UpstreamResult
    ) -> None:
        """What an attempt without content says of its upstream."""
        now, name = self._clock(), attempt.taken.name
        if result is UpstreamResult.OK:
            self._succeeded(attempt, now)
        elif result is UpstreamResult.CANCELLED:
            going.dropped = (name, now - attempt.began_s)
        elif self.balance.failed(attempt.taken, now):
            self._say(f"upstream {name} is set aside: {result.value}")
            self._tell_usable()
        if request.streams and result is UpstreamResult.TIMEOUT:
            # It would have taken longer still.
            self.hedging.answered(request.model, name, now - attempt.began_s, now)

    def _succeeded(self, attempt: _Attempt, now: float) -> None:
        aside = attempt.taken.member.aside
        self.balance.succeeded(attempt.taken, now)
        if aside and not attempt.taken.member.aside:
            self._say(f"upstream {attempt.taken.name} is back")
            self._tell_usable()

    def _tell_usable(self) -> None:
        for one in self.balance.members:
            usable = not one.aside and not one.draining
            self._metrics.set(UPSTREAM_USABLE, int(usable), one.name)


def _of(going: _Going, name: str) -> _Attempt | None:
    for one in going.attempts:
        if one.taken.name == name:
            return one
    return None
