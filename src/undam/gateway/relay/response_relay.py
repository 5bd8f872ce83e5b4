"""Relay for one request: admission, race, response, and normal and abnormal endings.

Heartbeat comments keep the client connection open. If the client disconnects, the upstream request
is cancelled immediately. The work per token is in `gateway.http.fast_path`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from undam.gateway.http.cross_origin import preflight_response
from undam.gateway.http.error_responses import SERVER_ERROR, error_body, error_event
from undam.gateway.http.fast_path import FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.response_writer import ResponseWriter
from undam.gateway.http.upstream_response import SWITCHING_PROTOCOLS
from undam.gateway.interfaces import (
    EndReason,
    LocalResponse,
    Permit,
    Refusal,
    RequestInfo,
    RequestRecord,
    UpstreamResult,
)
from undam.gateway.relay.attempt import Attempt
from undam.gateway.relay.client_backpressure import ClientBackpressure
from undam.gateway.relay.client_side import ClientSide
from undam.gateway.relay.first_content import has_announced_end
from undam.gateway.relay.late_error import LateError
from undam.gateway.relay.outgoing_request import OutgoingRequest
from undam.gateway.relay.race import Race, RequestContext

_FAILURES = {
    None: (503, EndReason.NO_UPSTREAM),
    UpstreamResult.REFUSED: (502, EndReason.UPSTREAM_REFUSED),
    UpstreamResult.DIED: (502, EndReason.UPSTREAM_DIED),
    UpstreamResult.TIMEOUT: (504, EndReason.UPSTREAM_TIMEOUT),
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _ignore_batch() -> None:
    """Do nothing. This replaces the batch callback of a relay that has ended."""


class ResponseRelay:
    """Relay for one request and its response.

    Attributes:
        record: record of the request.
        admitted: admission control has admitted the request.
        sent: the request was passed to a race.
        over: the request has ended, and no method may be called.
    """

    __slots__ = (
        "_awaited", "_backpressure", "_client", "_context", "_fast_path", "_late_error", "_permit",
        "_race", "_read_at", "_request", "_started", "_task", "_writer", "admitted", "over",
        "record", "sent",
    )  # fmt: skip

    def __init__(
        self,
        client: ClientSide,
        context: RequestContext,
        record: RequestRecord,
        writer: ResponseWriter,
        request: OutgoingRequest,
    ) -> None:
        self.record = record
        self.admitted = self.sent = self.over = False
        self._started = False  # True once the start was reported to the observer.
        self._client = client
        self._context = context
        self._writer = writer
        self._request = request
        self._race: Race | None = None
        self._permit: Permit | None = None
        self._task: asyncio.Task[None] | None = None
        self._awaited: Any = None
        self._fast_path = FastPath(writer.write, self._report_gaps, record.started_at)
        # Time of the last read on the normal path.
        self._read_at = record.started_at
        self._backpressure = ClientBackpressure()
        self._late_error: LateError | None = None

    @property
    def _decided(self) -> bool:
        return self._race is not None and self._race.decided

    @property
    def info(self) -> RequestInfo:
        """Properties of the request."""
        return self._context.info

    def start(self) -> None:
        """Answer the request locally, refuse it or admit it. Its body has not been read yet."""
        context = self._context
        preflight = preflight_response(context.info, self._writer.cross_origin)
        if preflight is not None:
            self._respond_locally(preflight)
            return
        self._continue_with(context.router.local_response(context.info), self._respond_locally)
        if not (self.admitted or self.over):
            self._client.schedule(self.next_deadline())  # The request is waiting for admission.

    def send(self) -> None:
        """Send the request to an upstream, once the body is complete or is being streamed."""
        now = monotonic()
        request = self._request
        self.sent = True
        if request.body.passed_on:
            self.record.started_at = now
        asked_for = self.info.model
        response = self._context.router.respond(self.info)
        if isinstance(response, Refusal):
            self._refuse(response)
            return
        if response is not None:
            self._respond_locally(response)
            return
        span = self.info.model_span
        if self.info.model != asked_for and span is not None and not request.body.passed_on:
            request.body.replace_span(span, json.dumps(self.info.model).encode())
        self._report_start()
        request.repeatable = self.info.repeatable and not request.body.passed_on
        self._race = Race(self, self._context, self.record, request)
        if request.body.passed_on:
            self._client.pause_request(True)
        self._race.start(now)
        self._client.defer(self._finish_start)

    def _report_start(self) -> None:
        if not self._started:
            self._started = True
            self._context.observer.request_started(self.record)

    def _respond_locally(self, response: LocalResponse | None) -> None:
        if response is None:
            context = self._context
            self._continue_with(context.router.admit(context.info), self._handle_admission)
            return
        lines = b"Content-Type: %b\r\nCache-Control: no-store\r\n" % response.content_type
        lines += response.lines
        self._writer.respond(response.status, lines, response.body, monotonic())
        self._end(EndReason.LOCAL, keep=self._writer.keep)

    def _handle_admission(self, admission: Permit | Refusal) -> None:
        if isinstance(admission, Refusal):
            self._refuse(admission)
        else:
            self._permit = admission
            self.admitted = True

    def _refuse(self, refusal: Refusal) -> None:
        self._send_error(refusal.status, refusal.message, refusal.kind, refusal.lines())
        self._end(EndReason.REFUSED, refusal.message, keep=self._writer.keep)

    def _finish_start(self) -> None:
        if self._race is not None:
            self._race.finish_start()
            self._client.schedule(self.next_deadline())

    def _continue_with(self, result: Any, then: Callable[[Any], None]) -> None:
        """Call ``then`` with ``result``. If ``result`` is awaitable, await it first."""
        if not hasattr(result, "__await__"):
            then(result)
            return

        self._awaited = result

        async def wait() -> None:
            began = monotonic()
            try:
                value = await result
            except Exception:
                self._task = None
                self._send_error(500, "internal error in the gateway")
                self._end(EndReason.REFUSED, "internal error in the gateway", keep=False)
                raise
            self._task = self._awaited = None
            if self.over:
                return
            self.record.queued_s = monotonic() - began
            then(value)
            if self.admitted:
                self._client.request_admitted()

        self._task = asyncio.get_running_loop().create_task(wait())

    # Methods that the client connection calls.

    def client_left(self) -> None:
        """End the request because the client has disconnected, perhaps after the end marker."""
        complete = self._decided and self._ends_properly(otherwise=False)
        self._end(EndReason.COMPLETE if complete else EndReason.CLIENT_LEFT, keep=False)

    def client_paused(self, paused: bool) -> None:
        """Pause the upstream while the client's write buffer is full, or resume it."""
        now = monotonic()
        winner = self._race.winner if self._race is not None else None
        connection = winner.connection if winner is not None else None
        if paused:
            self._backpressure.pause(now, self._client.unsent_bytes())
            if connection is not None:
                connection.pause()
            self._client.schedule(self._backpressure.deadline(self._context.limits.send_timeout_s))
        else:
            self._backpressure.resume()
            # The upstream was paused, so this time does not count as idle.
            self._fast_path.resumed_at = now
            if connection is not None:
                connection.resume()

    def send_more_body(self) -> None:
        """Send more of a request body that is being streamed."""
        if self._race is None or not self._race.send_body():
            self._client.pause_request(True)

    def bad_request_body(self, status: int, message: str) -> None:
        """End the request because its streamed body is malformed, too large or too late."""
        if not self._writer.opened:
            self._send_error(status, message, "invalid_request_error")
        self._end(EndReason.BAD_REQUEST, message, keep=False)

    def shut_down(self) -> None:
        """End the request because the gateway is shutting down."""
        self._send_error(503, "the gateway is shutting down")
        self._end(EndReason.SHUTDOWN, keep=False)

    def on_deadline(self, now: float) -> float:
        """Handle everything that is due at ``now``; return the next deadline."""
        race = self._race
        race_deadline = inf if race is None else race.on_deadline(now)
        if not self.over and self._late_error is not None and now >= self._late_error.deadline:
            self._send_late_error(self._late_error)
        if not self.over and self._backpressure.paused:
            self._check_client(now)
        elif not self.over and self._decided:
            self._check_upstream(now)
        if not self.over and self._heartbeat_due_at() <= now:
            self._send_heartbeat(now)
        return inf if self.over else min(race_deadline, self.next_deadline())

    # Methods that the race calls.

    def head_received(self, attempt: Attempt, now: float) -> None:
        """Open the response with the winner's head, and forward the buffered data."""
        head = attempt.head
        assert head is not None
        if not self._writer.opened:
            self._writer.open(head, now, body_follows=bool(attempt.held))
        elif head.status != 200 or not head.events:
            self._late_error = LateError(head, now)
        if self._backpressure.paused and attempt.connection is not None:
            attempt.connection.pause()
        if head.status == SWITCHING_PROTOCOLS:
            self._start_tunnel(attempt, now)
        if attempt.held:
            data, unread = attempt.take_held()
            self._forward(attempt, data, unread, now)
            self._writer.flush()
        if not self.over:
            self._client.schedule(self.next_deadline())

    def _start_tunnel(self, attempt: Attempt, now: float) -> None:
        assert self._race is not None
        self._read_at = now
        self._race.decide(attempt, content=False)
        self._client.start_tunnel()

    def tunnel_data(self, data: bytes) -> None:
        """Send data from the client to the upstream, after both have switched protocols."""
        winner = self._race.winner if self._race is not None else None
        if winner is not None and winner.connection is not None:
            self._read_at = monotonic()
            winner.connection.write(data)

    def head_expected(self, head: ResponseHead) -> None:
        """Prepare the response head in advance, while no data needs to be forwarded."""
        self._writer.prepare(head)

    def body_received(self, attempt: Attempt, data: bytes, now: float) -> None:
        """Forward body bytes from the winner."""
        was_decided = self._decided
        self._forward(attempt, data, data, now)
        if self._decided is not was_decided and not self.over:
            self._client.schedule(self.next_deadline())

    def response_complete(self, attempt: Attempt, now: float) -> None:
        """End the response in the same way as the upstream did."""
        if self._late_error is not None:
            self._send_late_error(self._late_error)
            return
        if self._ends_properly():
            self._writer.finish()
            self._end(EndReason.COMPLETE, keep=self._writer.keep)
        elif self._context.limits.report_incomplete:
            message = "the upstream ended the stream before the response was complete"
            self._send_error(502, message)
            self._end(EndReason.INCOMPLETE, message, keep=False)
        else:
            self._writer.finish()
            self._end(EndReason.INCOMPLETE, keep=self._writer.keep)

    def attempt_failed(
        self, attempt: Attempt, result: UpstreamResult, why: str, now: float
    ) -> None:
        """Abort the response because the winner has failed."""
        status, end_reason = _FAILURES[result]
        self._send_error(status, f"the response was interrupted: {why}")
        self._end(end_reason, why, keep=False)

    def no_response(self, result: UpstreamResult | None, why: str, now: float) -> None:
        """Send an error response because every attempt has failed."""
        status, end_reason = _FAILURES[result]
        self._send_error(status, why)
        self._end(end_reason, why, keep=self._writer.keep)

    def comment_received(self, now: float) -> None:
        """Send a heartbeat because an upstream is active although its data is still buffered."""
        self._send_heartbeat(now)

    def request_paused(self, paused: bool) -> None:
        """Pause or resume reading of the request body."""
        self._client.pause_request(paused)

    def schedule(self, deadline: float) -> None:
        """Ensure that `on_deadline` is called at ``deadline`` or earlier."""
        self._client.schedule(deadline)

    # The body.

    def _forward(self, attempt: Attempt, data: bytes, unread: bytes, now: float) -> None:
        """Forward ``data``; ``unread`` is the part that the detector has not read."""
        self._read_at = now
        if self._late_error is not None:
            if not self._late_error.add(data):
                self._send_late_error(self._late_error)
            return
        record, framer, decided = self.record, self._writer.framer, self._decided
        if not decided:
            if not record.bytes_in and record.heartbeats:
                # A byte order mark is valid only at the start of the stream, before any heartbeat.
                data = data.removeprefix(_BYTE_ORDER_MARK)
        elif framer is not None and not data.startswith(b":"):
            self._fast_path.record_read(now)
        record.bytes_in += len(data)
        at_boundary = framer is None or framer.at_boundary
        connection = attempt.connection
        end_follows = connection is not None and connection.response_complete
        self._writer.body(data, now, end_follows=end_follows)
        if not decided:
            self._look_for_content(attempt, unread, now)
        self._fast_path.keep_tail(data, at_boundary=at_boundary)

    def _look_for_content(self, attempt: Attempt, data: bytes, now: float) -> None:
        detector = attempt.detector
        if detector is not None and not detector.decided and not detector.take(data):
            return
        race, framer = self._race, self._writer.framer
        assert race is not None
        content = detector is None or detector.content
        self._fast_path.read_at = now
        if content:
            self.record.content_at = now
            self.record.reads += framer is not None
        race.decide(attempt, content=content)
        info = self._context.info
        info.headers = [pair for pair in info.headers if pair[0][:5].lower() == b"trace"]
        if content:
            self._client.defer(race.report_content)
        if framer is not None and self._writer.chunked and attempt.connection is not None:
            self._fast_path.framer = framer
            attempt.connection.fast_path = self._fast_path

    def _ends_properly(self, *, otherwise: bool = True) -> bool:
        """Return whether a stream contains the end marker of its API; else return ``otherwise``."""
        info = self._context.info
        if self._writer.framer is None or not (info.streams and info.api.announces_end):
            return otherwise
        return has_announced_end(info.api, self._fast_path.tail)

    def _report_gaps(self) -> None:
        gaps = self._fast_path.take_gaps()
        if gaps and self._writer.framer is not None:
            self.record.reads += len(gaps)
            self._context.observer.gaps(self.record, gaps)

    def next_deadline(self) -> float:
        """Return the next deadline of the relay itself, excluding the deadlines of the race."""
        limits = self._context.limits
        deadline = self._heartbeat_due_at()
        if self._late_error is not None:
            deadline = min(deadline, self._late_error.deadline)
        if self._backpressure.paused:
            return min(deadline, self._backpressure.deadline(limits.send_timeout_s))
        if self._decided and limits.idle_timeout_s is not None:
            deadline = min(deadline, self._active_at() + limits.idle_timeout_s)
        return deadline

    def _active_at(self) -> float:
        """Return the time at which the upstream was last active."""
        return max(self._fast_path.active_at, self._read_at)

    def _heartbeat_due_at(self) -> float:
        interval_s = self._context.limits.heartbeat_s
        writer = self._writer
        streams = writer.framer is not None if writer.opened else self._context.info.streams
        if interval_s is None or not streams or self._backpressure.paused:
            return inf
        forwarded_at = self._fast_path.active_at if self._decided else 0.0
        return max(writer.wrote_at, forwarded_at) + interval_s

    def _send_heartbeat(self, now: float) -> None:
        if not self._writer.opened:
            self._writer.open_event_stream(now)
        self._writer.heartbeat(now)
        self.record.heartbeats += 1
        self._context.observer.heartbeat(self.record)

    def _check_client(self, now: float) -> None:
        limit_s = self._context.limits.send_timeout_s
        if self._backpressure.is_stalled(now, self._client.unsent_bytes(), limit_s):
            why = f"the client read nothing for {limit_s:g} s"
            self._end(EndReason.CLIENT_FROZEN, why, keep=False)
            self._client.reset()

    def _check_upstream(self, now: float) -> None:
        limit_s = self._context.limits.idle_timeout_s
        if limit_s is None or now - self._active_at() < limit_s:
            return
        why = f"the upstream was silent for {limit_s:g} s"
        if self._race is not None:
            self._race.fail_winner(UpstreamResult.TIMEOUT)
        self._send_error(504, f"the response was interrupted: {why}")
        self._end(EndReason.UPSTREAM_SILENT, why, keep=False)

    def _send_error(
        self, status: int, message: str, kind: str = SERVER_ERROR, lines: bytes = b""
    ) -> None:
        """Send an error response, or an error event if the response is already open."""
        api = self._context.info.api
        now = monotonic()
        if self._writer.opened:
            self._writer.break_off(error_event(api, status, message, kind), now)
        else:
            lines += b"Content-Type: application/json\r\n"
            self._writer.respond(status, lines, error_body(api, status, message, kind), now)

    def _send_late_error(self, error: LateError) -> None:
        self._writer.break_off(error.event(self._context.info.api), monotonic())
        self._end(EndReason.UPSTREAM_ERROR, error.detail, keep=False)

    def _end(self, end_reason: EndReason, detail: str = "", *, keep: bool) -> None:
        """End the request. If ``keep`` is true, the client connection can serve another request."""
        if self.over:
            return
        self.over = True
        self._stop_waiting()
        race, self._race = self._race, None
        if race is not None:
            race.cancel()
        # The callback was a bound method of this object, which forms a reference cycle.
        self._fast_path.on_batch = _ignore_batch
        self._request.release()
        if self._permit is not None:
            self._permit.release()
        record = self.record
        record.bytes_in += self._fast_path.bytes
        record.bytes_out += self._fast_path.bytes
        record.end_reason, record.detail, record.ended_at = end_reason, detail, monotonic()
        self._client.defer(self._report_end)
        self._client.response_finished(keep=keep)

    def _stop_waiting(self) -> None:
        """Leave the admission queue. Release the permit if it was granted in the meantime."""
        awaited, self._awaited = self._awaited, None
        if isinstance(awaited, asyncio.Future):
            if (
                awaited.done()
                and not awaited.cancelled()
                and not isinstance(permit := awaited.result(), Refusal)
            ):
                permit.release()
            awaited.cancel()
        if self._task is not None:
            self._task.cancel()

    def _report_end(self) -> None:
        self._report_start()
        self._report_gaps()
        self._context.observer.request_ended(self.record)
