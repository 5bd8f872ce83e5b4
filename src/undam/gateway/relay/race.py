"""Selection of the upstream whose response the client receives.

This is the first upstream, another upstream after a failure, or the faster of two. The client
receives no data from a loser. While another upstream may still win, data before the first content
is held. The first content determines the winner, which does not change afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Protocol

from undam.apis import PLAIN
from undam.gateway.config.limits import RequestLimits
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.interfaces import (
    AttemptKind,
    EndedAttempt,
    Observer,
    RequestInfo,
    RequestRecord,
    Router,
    Upstream,
    UpstreamResult,
)
from undam.gateway.relay.attempt import MAX_HELD_BYTES, Attempt, AttemptListener
from undam.gateway.relay.first_content import FirstContentDetector
from undam.gateway.relay.outgoing_request import OutgoingRequest


class RaceListener(AttemptListener, Protocol):
    """Receiver of the winner's response, and of earlier events that concern the client."""

    def no_response(self, result: UpstreamResult | None, why: str, now: float) -> None:
        """Handle the failure of all attempts; ``result`` is ``None`` if there was no upstream."""
        ...

    def head_expected(self, head: ResponseHead) -> None:
        """Prepare for an event stream with this head. Its attempt may win once content arrives."""
        ...

    def comment_received(self, now: float) -> None:
        """Handle a comment from an upstream whose data is buffered until it wins."""
        ...

    def schedule(self, deadline: float) -> None:
        """Ensure that `Race.on_deadline` is called at ``deadline`` or earlier."""
        ...


# The class is not frozen: an instance is created for each request, and creating a frozen one would
# take three times as long.
@dataclass(slots=True)
class RequestContext:
    """Context of one request: its properties and the parts of the gateway that it uses."""

    router: Router
    observer: Observer
    limits: RequestLimits
    pool: UpstreamPool
    info: RequestInfo


class Race:
    """Concurrent attempts to serve one request; the client receives the response of one of them.

    Attributes:
        attempts: the running attempts, including the winner.
        winner: the attempt whose response the client receives.
        decided: the winner's stream has content or will have none. For other bodies, the body has
            begun.
    """

    __slots__ = (
        "_context", "_hedge_at", "_listener", "_record", "_request", "_retries", "_tried",
        "_unreported_content", "_unreported_start", "attempts", "decided", "winner",
    )  # fmt: skip

    def __init__(
        self,
        listener: RaceListener,
        context: RequestContext,
        record: RequestRecord,
        request: OutgoingRequest,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.winner: Attempt | None = None
        self.decided = False
        self._listener = listener
        self._context = context
        self._record = record
        self._request = request
        self._retries = context.limits.retries
        self._tried: list[Upstream] = []
        # Deferred reports, which must be made before the end of the attempt is reported.
        self._unreported_start: Attempt | None = None
        self._unreported_content: Attempt | None = None
        self._hedge_at = inf

    def start(self, now: float) -> None:
        """Send the request to the first upstream; the caller must call `finish_start` later."""
        if not self._start_attempt("first", now):
            self._listener.no_response(None, "no upstream is available", now)

    def finish_start(self) -> None:
        """Report the first attempt, and set the time for hedging. A second call has no effect."""
        attempt, self._unreported_start = self._unreported_start, None
        if attempt is None:
            return
        context = self._context
        context.observer.attempt_sent(self._record, attempt.upstream, attempt.kind)
        if context.info.streams and self._request.repeatable:
            delay_s = context.router.hedge_after_s(context.info)
            if delay_s is not None:
                self._hedge_at = attempt.started_at + delay_s
        self._schedule(attempt)

    def decide(self, attempt: Attempt, *, content: bool) -> None:
        """Record that no other upstream will be tried, and free the data kept for other attempts.

        Args:
            content: content has arrived; the caller must call `report_content` later.
        """
        self.decided = True
        if attempt.detector is not None:
            attempt.error_status = attempt.detector.error_status
        attempt.detector = None
        self._request.release()
        if attempt.head is not None:
            attempt.head.release()
        if content:
            self._unreported_content = attempt

    def report_content(self) -> None:
        """Report the first content. A second call has no effect."""
        attempt, self._unreported_content = self._unreported_content, None
        content_at = self._record.content_at
        if attempt is None or content_at is None:
            return
        context, head = self._context, attempt.head
        if head is not None and (head.status >= 400 or (context.info.streams and not head.events)):
            return  # The body of an error response or of a page of HTML is not content.
        if context.info.streams:
            ttft_s = content_at - attempt.started_at
            context.router.first_content_received(attempt.upstream, context.info, ttft_s)
        context.observer.first_content(self._record)

    def cancel(self) -> None:
        """End all attempts immediately."""
        for attempt in list(self.attempts):
            self._drop(attempt, UpstreamResult.CANCELLED)
        self.winner = None

    def fail_winner(self, result: UpstreamResult) -> None:
        """End the winner's attempt because of an upstream fault, without notifying the listener."""
        if self.winner is not None:
            self._drop(self.winner, result)

    def send_body(self) -> bool:
        """Send more of the request body; return whether a connection was available."""
        connection = self.attempts[0].connection if self.attempts else None
        if connection is None:
            return False
        connection.send_body()
        return True

    def on_deadline(self, now: float) -> float:
        """Handle everything that is due at ``now``; return the next deadline."""
        deadline = inf
        for attempt in list(self.attempts):
            limit, why = self._time_limit(attempt)
            if now >= limit:
                attempt.abort()
                self._fail(attempt, UpstreamResult.TIMEOUT, why, now)
            else:
                deadline = min(deadline, limit)
        if self.winner is None and self._hedge_at <= now:
            self._hedge_at = inf
            self._hedge(now)
        return deadline if self.winner is not None else min(deadline, self._hedge_at)

    # Attempts.

    def _start_attempt(self, kind: AttemptKind, now: float) -> bool:
        context = self._context
        upstream = context.router.choose(context.info, self._tried)
        if upstream is None:
            return False
        self._tried.append(upstream)
        attempt = Attempt(self, self._request, upstream, kind, now)
        self.attempts.append(attempt)
        if kind != "hedge":
            self._record.upstream = upstream
        attempt.start(context.pool)
        # The attempt is reported after the request was sent, so that metrics do not delay the
        # request.
        context.router.attempt_started(upstream, context.info)
        if kind == "first":
            self._unreported_start = attempt
        else:
            context.observer.attempt_sent(self._record, upstream, kind)
            self._schedule(attempt)
        return True

    def _schedule(self, attempt: Attempt) -> None:
        self._listener.schedule(min(self._time_limit(attempt)[0], self._hedge_at))

    def _time_limit(self, attempt: Attempt) -> tuple[float, str]:
        """Return the time at which the attempt counts as failed, and the reason."""
        limit, why = inf, ""
        limits = self._context.limits
        if self.decided:
            pass
        elif self._context.info.streams:
            if limits.ttft_timeout_s is not None:
                limit = attempt.started_at + limits.ttft_timeout_s
                why = f"no content within {limits.ttft_timeout_s:g} s"
        elif attempt.head is None:
            if limits.response_timeout_s is not None:
                limit = attempt.started_at + limits.response_timeout_s
                why = f"no response within {limits.response_timeout_s:g} s"
        elif limits.idle_timeout_s is not None:
            limit = attempt.head_at + limits.idle_timeout_s
            why = f"the upstream was silent for {limits.idle_timeout_s:g} s"
        if attempt.connecting:
            connect_s = attempt.upstream.connect_timeout_s
            if attempt.started_at + connect_s < limit:
                limit = attempt.started_at + connect_s
                why = f"no connection within {connect_s:g} s"
        return limit, why

    def _hedge(self, now: float) -> None:
        context = self._context
        if len(self.attempts) != 1:
            return
        if context.router.may_hedge(context.info) and self._start_attempt("hedge", now):
            self._record.hedged = "sent"
        else:
            context.observer.hedge_denied(self._record)

    def _retry(self, now: float) -> bool:
        if self._retries <= 0 or not self._start_attempt("retry", now):
            return False
        self._retries -= 1
        self._record.retries += 1
        return True

    def _may_switch(self) -> bool:
        """Return whether an upstream that has not won yet may still win."""
        if len(self.attempts) > 1:
            return True
        if not self._request.repeatable or (self._retries <= 0 and self._hedge_at == inf):
            return False
        context = self._context
        return context.router.choose(context.info, self._tried) is not None

    def _has_failed(self, attempt: Attempt) -> bool:
        """Return whether the response status counts as a failure of the upstream."""
        return attempt.status in self._context.limits.failure_statuses

    def _win(self, attempt: Attempt, now: float) -> None:
        self.winner = attempt
        for other in [one for one in self.attempts if one is not attempt]:
            self._drop(other, UpstreamResult.CANCELLED)
        record = self._record
        record.upstream = attempt.upstream
        if record.hedged:
            record.hedged = "won" if attempt.kind == "hedge" else "lost"
        self._listener.head_received(attempt, now)

    def _drop(self, attempt: Attempt, result: UpstreamResult) -> None:
        """Remove an attempt, end it if it is still running, and report its result."""
        if attempt not in self.attempts:
            return
        self.attempts.remove(attempt)
        attempt.abort()
        self.finish_start()
        self.report_content()
        context = self._context
        context.router.attempt_ended(
            attempt.upstream,
            context.info,
            result,
            status=attempt.status,
            retry_after_s=attempt.retry_after_s,
        )
        self._record.attempts.append(
            EndedAttempt(
                attempt.upstream,
                result,
                attempt.status,
                monotonic() - attempt.started_at,
            )
        )
        if result not in (UpstreamResult.OK, UpstreamResult.CANCELLED):
            context.observer.upstream_failed(self._record, attempt.upstream, result)

    def _fail(self, attempt: Attempt, result: UpstreamResult, why: str, now: float) -> None:
        self._drop(attempt, result)
        if attempt is self.winner:
            self._listener.attempt_failed(attempt, result, why, now)
        elif not self.attempts:
            may_retry = self._request.repeatable or not attempt.sent
            if not (may_retry and self._retry(now)):
                self._listener.no_response(result, why, now)

    # Methods that the attempts call.

    def head_received(self, attempt: Attempt, now: float) -> None:
        """Declare the attempt the winner, try another upstream, or wait for content."""
        head = attempt.head
        assert head is not None
        self.finish_start()
        unavailable = self._has_failed(attempt)
        if len(self.attempts) > 1:
            # An error does not win while another attempt may still receive content.
            lost = unavailable or head.status != 200 or not head.events
        else:
            lost = unavailable and self._request.repeatable and self._retry(now)
        if lost:
            self._drop(attempt, UpstreamResult.STATUS if unavailable else UpstreamResult.OK)
            return
        if head.events:
            info = self._context.info
            attempt.detector = FirstContentDetector(info.api if info.streams else PLAIN)
            if info.streams and head.status == 200 and self._may_switch():
                self._listener.head_expected(head)
                return
        self._win(attempt, now)

    def body_received(self, attempt: Attempt, data: bytes, now: float) -> None:
        """Forward the winner's body. Search the bodies of other attempts for the first content."""
        if attempt is self.winner:
            self._listener.body_received(attempt, data, now)
            return
        detector = attempt.detector
        assert detector is not None
        attempt.hold(data)
        comments = detector.comments
        if detector.looks_like_content(data):
            # The data is forwarded first and parsed afterwards.
            attempt.unread = data
            self._win(attempt, now)
        elif detector.take(data) or attempt.held_bytes > MAX_HELD_BYTES:
            attempt.error_status = detector.error_status
            if self._has_failed(attempt) and (
                len(self.attempts) > 1 or (self._request.repeatable and self._retry(now))
            ):
                self._drop(attempt, UpstreamResult.STATUS)
            else:
                self._win(attempt, now)
        elif detector.comments > comments:
            self._listener.comment_received(now)

    def response_complete(self, attempt: Attempt, now: float) -> None:
        """Report the result of the attempt. A stream without content is a failure."""
        if attempt is not self.winner:
            why = "the upstream ended the stream before its first content"
            self._fail(attempt, UpstreamResult.DIED, why, now)
            return
        result = UpstreamResult.OK
        if self._has_failed(attempt):
            result = UpstreamResult.STATUS
        elif attempt.detector is not None and self._context.info.streams:
            result = UpstreamResult.DIED  # The stream ended without content.
        self._drop(attempt, result)
        self._listener.response_complete(attempt, now)

    def attempt_failed(
        self, attempt: Attempt, result: UpstreamResult, why: str, now: float
    ) -> None:
        """Try another upstream if possible. If the winner failed, abort the response."""
        self._fail(attempt, result, why, now)

    def request_paused(self, paused: bool) -> None:
        """Report whether the connection currently accepts more of the request body."""
        self._listener.request_paused(paused)
