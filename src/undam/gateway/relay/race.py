"""Which upstream answers: the first one asked, the next after a failure, or the faster of two.

Nothing of a loser reaches the client. While another upstream may still be asked, what the first one
says before its content is kept back; from the content on there is one winner and no way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Protocol

from undam.apis import PLAIN
from undam.gateway.config.limits import RequestLimits
from undam.gateway.http.fast_path import FastPath
from undam.gateway.http.headers import ForwardedHead, ResponseHead
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.interfaces import (
    AttemptKind,
    Observer,
    RequestInfo,
    RequestRecord,
    Router,
    Upstream,
    UpstreamResult,
)
from undam.gateway.relay.attempt import MAX_HELD_BYTES, Attempt
from undam.gateway.relay.first_content import FirstContentDetector

SICK = frozenset({502, 503, 504})
"""An upstream that answers so does not serve now; another one may."""


class Owner(Protocol):
    """What the race is run for."""

    decided: bool

    def won(self, attempt: Attempt, now: float) -> None:
        """Its answer is the client's, from ``attempt.head`` and ``attempt.held`` on."""
        ...

    def foresee(self, head: ResponseHead) -> None:
        """A stream with this head may win with its first content."""
        ...

    def nobody(self, result: UpstreamResult | None, why: str, now: float) -> None:
        """There is no answer and nobody left to ask; ``None``: there was nobody at all."""
        ...

    def body_came(self, attempt: Attempt, data: bytes, now: float) -> None:
        """More of the winner's body."""
        ...

    def end_came(self, attempt: Attempt) -> None:
        """The winner's answer is whole."""
        ...

    def broke(self, result: UpstreamResult, why: str) -> None:
        """The winner's answer will not be whole."""
        ...

    def tell_content(self) -> None:
        """Tell the router of the first content, if it has not been: an attempt is dropped."""
        ...

    def comment_came(self, now: float) -> None:
        """An upstream that may yet win sent a comment."""
        ...

    def fast_path_for(self, attempt: Attempt) -> FastPath | None:
        """See `upstream.Receiver.fast_path`."""
        ...

    def take_body(self) -> bytes:
        """The request's body as far as it is there, framed."""
        ...

    def hold_body(self, hold: bool) -> None:
        """Let no more of the request's body come for now, or do again."""
        ...

    def look_at(self, due: float) -> None:
        """Call `Race.pulse` at ``due`` or before."""
        ...


@dataclass(slots=True)  # Frozen, it takes three times as long to make, for each request.
class Rules:
    """What one race is run by; nobody changes it.

    Args:
        repeatable: the request may be sent twice.
        whole: its body is there; if not, it is passed on as it comes, once.
    """

    router: Router
    observer: Observer
    limits: RequestLimits
    pool: UpstreamPool
    info: RequestInfo
    repeatable: bool
    whole: bool


class Race:
    """The attempts of one request.

    Attributes:
        attempts: those that are under way, the winner included.
        winner: the one whose answer the client gets.
    """

    __slots__ = (
        "_hedge_at", "_owner", "_record", "_request", "_retries", "_rules", "_tried", "_unnoted",
        "attempts", "headless", "once", "repeatable", "winner",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, rules: Rules, record: RequestRecord, request: ForwardedHead
    ) -> None:
        self.attempts: list[Attempt] = []
        self.winner: Attempt | None = None
        self.repeatable = rules.repeatable
        self.headless = rules.info.method == "HEAD"
        self.once = not rules.whole
        self._owner = owner
        self._rules = rules
        self._record = record
        self._request: ForwardedHead | None = request
        self._retries = rules.limits.retries
        self._tried: list[Upstream] = []
        self._unnoted: Attempt | None = None
        self._hedge_at = inf

    def start(self, now: float) -> None:
        """Ask the first upstream; `note_start` has to follow."""
        if not self._ask("first", now):
            self._owner.nobody(None, "no upstream is available", now)

    def note_start(self) -> None:
        """Note what nobody waits for when the request is sent, and when it may be hedged.

        It is done before anything else is noted of it. Once is enough.
        """
        attempt, self._unnoted = self._unnoted, None
        if attempt is None:
            return
        rules = self._rules
        rules.observer.sent(self._record, attempt.upstream, attempt.asked_for)
        if rules.info.streams and rules.repeatable:
            after = rules.router.hedge_after_s(rules.info)
            if after is not None:
                self._hedge_at = attempt.asked_at + after
        self._look_at(attempt)

    def cancel(self) -> None:
        """End all attempts at once."""
        for attempt in list(self.attempts):
            self._drop(attempt, UpstreamResult.CANCELLED)
        self.winner = None

    def settle(self) -> None:
        """Nobody else will be asked: let go of what that would take."""
        self._request = None
        if self.winner is not None and self.winner.head is not None:
            self.winner.head.forget()

    def give_up(self, result: UpstreamResult) -> None:
        """End the winner's attempt, which is at fault."""
        if self.winner is not None:
            self._drop(self.winner, result)

    def on_deadline(self, now: float) -> float:
        """Do what is due; returns when something is next."""
        due = inf
        for attempt in list(self.attempts):
            limit, why = self._limit(attempt)
            if now >= limit:
                attempt.abort()
                self._fail(attempt, UpstreamResult.TIMEOUT, why, now)
            else:
                due = min(due, limit)
        if self.winner is None and self._hedge_at <= now:
            self._hedge_at = inf
            self._hedge(now)
        return due if self.winner is not None else min(due, self._hedge_at)

    def _limit(self, attempt: Attempt) -> tuple[float, str]:
        limit, why = inf, ""
        ttft = self._rules.limits.ttft_timeout_s
        if ttft is not None and self._rules.info.streams and not self._owner.decided:
            limit, why = attempt.asked_at + ttft, f"no content within {ttft:g} s"
        if attempt.connecting:
            seconds = attempt.upstream.connect_timeout_s
            if attempt.asked_at + seconds < limit:
                limit, why = attempt.asked_at + seconds, f"no connection within {seconds:g} s"
        return limit, why

    def _ask(self, why: AttemptKind, now: float) -> bool:
        rules = self._rules
        upstream = rules.router.choose(rules.info, self._tried)
        if upstream is None:
            return False
        self._tried.append(upstream)
        attempt = Attempt(self, upstream, why, now)
        self.attempts.append(attempt)
        if why != "hedge":
            self._record.upstream = upstream
        attempt.start(rules.pool)
        # What is counted need not be waited for.
        rules.router.began(upstream, rules.info)
        if why == "first":
            self._unnoted = attempt
        else:
            rules.observer.sent(self._record, upstream, why)
            self._look_at(attempt)
        return True

    def _look_at(self, attempt: Attempt) -> None:
        self._owner.look_at(min(self._limit(attempt)[0], self._hedge_at))

    def _hedge(self, now: float) -> None:
        rules = self._rules
        if len(self.attempts) != 1:
            return
        if rules.router.may_hedge(rules.info) and self._ask("hedge", now):
            self._record.hedged = "sent"
        else:
            rules.observer.hedge_denied(self._record)

    def _retry(self, now: float) -> bool:
        if self._retries <= 0 or not self._ask("retry", now):
            return False
        self._retries -= 1
        self._record.retries += 1
        return True

    def _may_switch(self) -> bool:
        """Another upstream may still give the answer instead."""
        if len(self.attempts) > 1:
            return True
        if not self.repeatable or (self._retries <= 0 and self._hedge_at == inf):
            return False
        rules = self._rules
        return rules.router.choose(rules.info, self._tried) is not None

    def _win(self, attempt: Attempt, now: float) -> None:
        self.winner = attempt
        for other in [one for one in self.attempts if one is not attempt]:
            self._drop(other, UpstreamResult.CANCELLED)
        record = self._record
        record.upstream = attempt.upstream
        if record.hedged:
            record.hedged = "won" if attempt.asked_for == "hedge" else "lost"
        self._owner.won(attempt, now)

    def _drop(self, attempt: Attempt, result: UpstreamResult) -> None:
        """It is over for ``attempt``, from this side or its own."""
        if attempt not in self.attempts:
            return
        self.attempts.remove(attempt)
        attempt.abort()
        self.note_start()
        self._owner.tell_content()
        rules = self._rules
        rules.router.ended(attempt.upstream, rules.info, result)
        if result not in (UpstreamResult.OK, UpstreamResult.CANCELLED):
            rules.observer.upstream_failed(self._record, attempt.upstream, result)

    def _fail(self, attempt: Attempt, result: UpstreamResult, why: str, now: float) -> None:
        self._drop(attempt, result)
        if attempt is self.winner:
            self._owner.broke(result, why)
        elif not self.attempts:
            may = self.repeatable or not attempt.sent
            if not (may and self._retry(now)):
                self._owner.nobody(result, why, now)

    # What an attempt calls; see `attempt.Asker`.

    def request_bytes(self, upstream: Upstream) -> bytes:
        """See `attempt.Asker`."""
        assert self._request is not None
        return self._request.towards(upstream) + self._owner.take_body()

    def connected(self, attempt: Attempt) -> None:
        """See `attempt.Asker`."""
        self._owner.hold_body(False)

    def head_came(self, attempt: Attempt, now: float) -> None:
        """See `attempt.Asker`."""
        head = attempt.head
        assert head is not None
        self.note_start()
        sick = head.status in SICK
        if len(self.attempts) > 1:
            # What races for the first content is not beaten by a refusal.
            lost = sick or head.status != 200 or not head.events
        else:
            lost = sick and self.repeatable and self._retry(now)
        if lost:
            self._drop(attempt, UpstreamResult.STATUS if sick else UpstreamResult.OK)
            return
        if head.events:
            info = self._rules.info
            attempt.detector = FirstContentDetector(info.api if info.streams else PLAIN)
            if info.streams and head.status == 200 and self._may_switch():
                self._owner.foresee(head)
                return
        self._win(attempt, now)

    def body_came(self, attempt: Attempt, data: bytes, now: float) -> None:
        """See `attempt.Asker`."""
        if attempt is self.winner:
            self._owner.body_came(attempt, data, now)
            return
        detector = attempt.detector
        assert detector is not None
        attempt.held.append(data)
        attempt.held_bytes += len(data)
        comments = detector.comments
        if detector.looks_like_content(data):
            # It is passed on first, and read then.
            attempt.unread = data
            self._win(attempt, now)
        elif detector.take(data) or attempt.held_bytes > MAX_HELD_BYTES:
            self._win(attempt, now)
        elif detector.comments > comments:
            self._owner.comment_came(now)

    def end_came(self, attempt: Attempt, now: float) -> None:
        """See `attempt.Asker`."""
        if attempt is not self.winner:
            self._win(attempt, now)
        head = attempt.head
        sick = head is not None and head.status in SICK
        self._drop(attempt, UpstreamResult.STATUS if sick else UpstreamResult.OK)
        self._owner.end_came(attempt)

    def failed(self, attempt: Attempt, result: UpstreamResult, why: str, now: float) -> None:
        """See `attempt.Asker`."""
        self._fail(attempt, result, why, now)

    def fast_path_for(self, attempt: Attempt) -> FastPath | None:
        """See `attempt.Asker`."""
        return self._owner.fast_path_for(attempt) if attempt is self.winner else None

    def upstream_full(self, full: bool) -> None:
        """See `attempt.Asker`."""
        self._owner.hold_body(full)
