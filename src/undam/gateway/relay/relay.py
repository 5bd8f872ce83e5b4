"""One request from its first byte to the reason of its end.

It is let in, raced to an upstream, and its answer passed on as it came; meanwhile the client is
kept from giving up by comments, and the upstream from working for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil, inf
from time import monotonic
from typing import Any

from undam.gateway.http.error_responses import SERVER_ERROR
from undam.gateway.http.headers import ForwardedHead
from undam.gateway.interfaces import EndReason, LocalResponse, Permit, Refusal, UpstreamResult
from undam.gateway.relay.race import Race
from undam.gateway.relay.response_relay import Passing


class Relay(Passing):
    """See the module."""

    __slots__ = ("_request",)

    def start(self, request: Callable[[], ForwardedHead], body: bytes) -> None:
        """Let it in and send it on, or answer it here.

        Args:
            request: gives its head towards upstreams once it is let in, as who lets it in may
                take a key from its headers, and who observes may add some.
            body: of the request, as far as it is there, framed.
        """
        rules = self._rules
        self._body = body
        rules.observer.began(self.record)
        self._request = request
        self._after(rules.router.page(rules.info), self._paged)
        if self._race is None and not self.over:
            self._host.look_at(self.due())  # It waits for its turn.

    def _paged(self, page: LocalResponse | None) -> None:
        if page is None:
            self._after(self._rules.router.admit(self._rules.info), self._admitted)
            return
        lines = b"Content-Type: %b\r\nCache-Control: no-store\r\n" % page.content_type
        self._writer.answer(page.status, lines, page.body, monotonic())
        self.end(EndReason.LOCAL, keep=self._writer.keep)

    def _admitted(self, admitted: Permit | Refusal) -> None:
        now = monotonic()
        if not isinstance(admitted, Refusal):
            self._ticket = admitted
            self._race = Race(self, self._rules, self.record, self._request())
            self._race.start(now)
            self._host.defer(self._note_start)
            return
        lines = [name + b": " + value + b"\r\n" for name, value in admitted.headers]
        if admitted.retry_after_s is not None:
            lines.append(b"Retry-After: %d\r\n" % max(1, ceil(admitted.retry_after_s)))
        self.tell(admitted.status, admitted.message, admitted.kind, b"".join(lines))
        self.end(EndReason.REFUSED, admitted.message, keep=self._writer.keep)

    def _note_start(self) -> None:
        if self._race is not None:
            self._race.note_start()
            self._host.look_at(self.due())

    def _after(self, given: Any, then: Callable[[Any], None]) -> None:
        """Go on with what a router gives at once or later."""
        if given is None or not hasattr(given, "__await__"):
            then(given)
            return

        async def wait() -> None:
            try:
                result = await given
            except Exception:
                self._task = None
                self.tell(500, "the gateway failed", SERVER_ERROR)
                self.end(EndReason.REFUSED, "the gateway failed", keep=False)
                raise
            self._task = None
            if not self.over:
                then(result)

        self._task = asyncio.get_running_loop().create_task(wait())

    # The client's side.

    def client_left(self) -> None:
        """It closed its connection."""
        self.end(EndReason.CLIENT_LEFT, keep=False)

    def client_full(self, full: bool) -> None:
        """It is behind by the bytes allowed, or has caught up."""
        now = monotonic()
        winner = self._race.winner if self._race is not None else None
        connection = winner.connection if winner is not None else None
        if full:
            self._paused_at = now
            self._stuck_bytes = self._host.unsent_bytes()
            if connection is not None:
                connection.pause()
            if self._rules.limits.send_timeout_s is not None:
                self._host.look_at(now + self._rules.limits.send_timeout_s)
        else:
            self._paused_at = inf
            self._fast_path.since = now  # The upstream was not silent, only not read.
            if connection is not None:
                connection.resume()

    def more_body(self, data: bytes) -> None:
        """More of the request's body, framed, where it is passed on as it comes."""
        attempt = self._race.attempts[0] if self._race is not None and self._race.attempts else None
        if attempt is not None and attempt.connection is not None:
            attempt.connection.send(data)
        else:
            self._body += data
            self._host.hold_body(True)

    def shut_down(self) -> None:
        """The gateway stops and waits no longer."""
        self.tell(503, "the gateway is shutting down", SERVER_ERROR)
        self.end(EndReason.SHUTDOWN, keep=False)

    def bad_body(self, status: int, message: str) -> None:
        """The request's body, which is passed on as it comes, is malformed or too large."""
        if not self._writer.opened:
            self.tell(status, message, "invalid_request_error")
        self.end(EndReason.BAD_REQUEST, message, keep=False)

    # The race's side; see `race.Owner`.

    def take_body(self) -> bytes:
        """See `race.Owner`."""
        body = self._body
        if not self._rules.whole:
            self._body = b""  # It is sent once.
        return body

    def hold_body(self, hold: bool) -> None:
        """See `race.Owner`."""
        self._host.hold_body(hold)

    def look_at(self, due: float) -> None:
        """See `race.Owner`."""
        self._host.look_at(due)

    def comment_came(self, now: float) -> None:
        """See `race.Owner`: its bytes are held, but the client learns that somebody is there."""
        self._beat(now)

    # Time.

    def on_deadline(self, now: float) -> float:
        """Do what is due; returns when something is next."""
        race = self._race
        due = inf if race is None else race.on_deadline(now)
        winner = None if race is None else race.winner
        if not self.over and now >= self._telling_until and winner is not None:
            self.tell_upstream_error(winner)
        if not self.over and self._paused_at < inf:
            self._check_frozen(now)
        elif not self.over and self.decided:
            self._check_silent(now)
        if not self.over and self._beat_due() <= now:
            self._beat(now)
        return inf if self.over else min(due, self.due())

    def due(self) -> float:
        """See `Passing`."""
        limits = self._rules.limits
        due = min(self._beat_due(), self._telling_until)
        if self._paused_at < inf:
            return min(due, self._paused_at + (limits.send_timeout_s or inf))
        if self.decided and limits.idle_timeout_s is not None:
            due = min(due, max(self._fast_path.passed_at, self._read_at) + limits.idle_timeout_s)
        return due

    def _beat_due(self) -> float:
        interval = self._rules.limits.heartbeat_s
        writer = self._writer
        wanted = writer.framer is not None if writer.opened else self._rules.info.streams
        if interval is None or not wanted or self._paused_at < inf:
            return inf
        passed_at = self._fast_path.passed_at if self.decided else 0.0
        return max(writer.wrote_at, passed_at) + interval

    def _beat(self, now: float) -> None:
        if not self._writer.opened:
            self._writer.open_events(now)
        self._writer.heartbeat(now)
        self.record.heartbeats += 1
        self._rules.observer.heartbeat(self.record)

    def _check_frozen(self, now: float) -> None:
        limit = self._rules.limits.send_timeout_s
        unsent = self._host.unsent_bytes()
        if unsent < self._stuck_bytes:
            self._stuck_bytes, self._paused_at = unsent, now
        elif limit is not None and now - self._paused_at >= limit:
            self.end(EndReason.CLIENT_FROZEN, f"it took nothing for {limit:g} s", keep=False)
            self._host.cut()

    def _check_silent(self, now: float) -> None:
        seconds = self._rules.limits.idle_timeout_s
        if seconds is None or now - max(self._fast_path.passed_at, self._read_at) < seconds:
            return
        why = f"the upstream was silent for {seconds:g} s"
        if self._race is not None:
            self._race.give_up(UpstreamResult.TIMEOUT)
        self.tell(504, f"the answer broke off: {why}", SERVER_ERROR)
        self.end(EndReason.UPSTREAM_SILENT, why, keep=False)
