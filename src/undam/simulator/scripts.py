"""Construction of the script for an exchange: head, framing and events."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from undam.http1.request_parser import BadRequest
from undam.simulator.apis.response_format import DueEvent, ResponseFormat, compact, due_events
from undam.simulator.http import HttpRequest, head, merge_headers
from undam.simulator.schedule import ResponsePlan, scheduled_events
from undam.simulator.settings import BodyFraming
from undam.simulator.stream import Script
from undam.simulator.text import AnswerText
from undam.timing import beacon

# Content-Length requires that the whole body be created before its first byte is sent.
_MAX_LENGTH_BYTES = 64 << 20
_TYPICAL_EVENT_BYTES = 300

_SERVER = "undam-sim"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ExchangeContext:
    """Parameters of an exchange that are known at its start.

    Args:
        start_ns: origin of the schedule.
        date: value of the Date header.
    """

    exchange_id: str
    request: HttpRequest
    start_ns: int
    date: str
    host: str

    def headers(self, content_type: str) -> Headers:
        """Return the headers that all responses with a schedule have."""
        info = beacon.BeaconHead(self.exchange_id, self.request.arrived_ns, self.host)
        return [
            ("Content-Type", content_type),
            ("Server", _SERVER),
            ("Date", self.date),
            (beacon.HEADER, beacon.format_head(info)),
        ]


def connection_headers(request: HttpRequest, *, keep_alive: bool) -> Headers:
    """Return the Connection header if it differs from the HTTP version's default."""
    if not keep_alive:
        return [("Connection", "close")]
    return [("Connection", "keep-alive")] if request.version == "1.0" else []


def stream_headers(
    exchange: ExchangeContext, response_format: ResponseFormat, plan: ResponsePlan
) -> Headers:
    """Return the headers of a streaming response, without those for framing.

    As with an ordinary model server, none of them turns off buffering in intermediaries.
    """
    defaults = [*exchange.headers(response_format.content_type), ("Cache-Control", "no-cache")]
    return merge_headers(defaults, plan.settings.headers)


def stream_script(
    exchange: ExchangeContext,
    response_format: ResponseFormat,
    plan: ResponsePlan,
    *,
    text: AnswerText,
    rng: random.Random,
) -> Script:
    """Return the script for a streaming response.

    Raises:
        BadRequest: the response is too long for a Content-Length.
    """
    settings, request = plan.settings, exchange.request
    events = due_events(
        response_format,
        text,
        scheduled_events(plan, rng),
        start_ns=exchange.start_ns,
        event_bytes=settings.event_bytes,
    )
    framing = settings.framing
    if framing is BodyFraming.CHUNKED and request.version != "1.1":
        # HTTP/1.0 has no chunked coding (RFC 9112, 7.1).
        framing = BodyFraming.CLOSE
    keep_alive = request.keep_alive and framing is not BodyFraming.CLOSE
    headers = stream_headers(exchange, response_format, plan)
    if framing is BodyFraming.CHUNKED:
        headers.append(("Transfer-Encoding", "chunked"))
    elif framing is BodyFraming.LENGTH:
        events, size = _with_length(events, plan)
        headers.append(("Content-Length", str(size)))
    headers += connection_headers(request, keep_alive=keep_alive)
    dies = settings.die_after is not None and settings.die_after <= plan.events
    return Script(
        exchange_id=exchange.exchange_id,
        path=request.path,
        arrived_ns=request.arrived_ns,
        head=head(200, headers),
        events=events,
        chunked=framing is BodyFraming.CHUNKED,
        keep_alive=keep_alive,
        head_late=settings.headers_late,
        die_after=settings.die_after if dies else None,
        # Heartbeats are sent as comments, which exist in SSE but not in NDJSON.
        heartbeat_ns=int(settings.heartbeat_s * 1e9)
        if response_format.terminator == b"\n\n"
        else 0,
    )


def whole_script(
    exchange: ExchangeContext,
    response_format: ResponseFormat,
    plan: ResponsePlan,
    *,
    rng: random.Random,
) -> Script:
    """Return the script for a non-streaming response, which is sent when its last token is due."""
    request = exchange.request
    (last,) = deque(scheduled_events(plan, rng), maxlen=1)
    due_ns = exchange.start_ns + last.offset_ns
    stamp = {"seq": 0, "due_ns": due_ns}
    body = compact({**response_format.whole(), "undam": stamp}).encode()
    headers = exchange.headers("application/json")
    headers.append(("Content-Length", str(len(body))))
    headers += connection_headers(request, keep_alive=request.keep_alive)
    return Script(
        exchange_id=exchange.exchange_id,
        path=request.path,
        arrived_ns=request.arrived_ns,
        head=head(200, headers),
        events=iter([DueEvent(due_ns, body, False)]),
        chunked=False,
        keep_alive=request.keep_alive,
        head_late=True,
    )


def _with_length(events: Iterator[DueEvent], plan: ResponsePlan) -> tuple[Iterator[DueEvent], int]:
    each = max(plan.settings.event_bytes or 0, _TYPICAL_EVENT_BYTES)
    if plan.events * each > _MAX_LENGTH_BYTES:
        raise BadRequest(
            400, f"responses with a Content-Length are limited to {_MAX_LENGTH_BYTES} bytes"
        )
    body = list(events)
    return iter(body), sum(len(event.data) for event in body)
