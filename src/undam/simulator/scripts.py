"""From a plan and a form to the bytes of one exchange: head, framing, events. Pure."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from undam.http1.request_parser import BadRequest
from undam.simulator.apis.form import DueEvent, ResponseFormat, compact, due_events
from undam.simulator.http import Request, head, merge_headers
from undam.simulator.schedule import ResponsePlan, scheduled_events
from undam.simulator.settings import Framing
from undam.simulator.stream import Script
from undam.simulator.text import ModelText
from undam.timing import beacon

# With Content-Length the whole body is made before its first byte leaves.
_MAX_COUNTED_BYTES = 64 << 20
_TYPICAL_EVENT_BYTES = 300

_SERVER = "undam-sim"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ExchangeContext:
    """An exchange that begins.

    Args:
        start_ns: the time from which its schedule counts.
        date: the value of the Date header.
    """

    exchange_id: str
    request: Request
    start_ns: int
    date: str
    host: str

    def headers(self, content_type: str) -> Headers:
        """What every scheduled answer says in its head."""
        said = beacon.BeaconHead(self.exchange_id, self.request.arrived_ns, self.host)
        return [
            ("Content-Type", content_type),
            ("Server", _SERVER),
            ("Date", self.date),
            (beacon.HEADER, beacon.format_head(said)),
        ]


def connection_headers(request: Request, *, keep_alive: bool) -> Headers:
    """What the head says of the connection; nothing where the version says it already."""
    if not keep_alive:
        return [("Connection", "close")]
    return [("Connection", "keep-alive")] if request.version == "1.0" else []


def stream_headers(opened: ExchangeContext, form: ResponseFormat, plan: ResponsePlan) -> Headers:
    """The head of a stream without its framing: the defaults, and what the settings put there.

    No header that tells an intermediary not to hold: an ordinary model server sends none.
    """
    defaults = [*opened.headers(form.content_type), ("Cache-Control", "no-cache")]
    return merge_headers(defaults, plan.settings.headers)


def stream_script(
    opened: ExchangeContext,
    form: ResponseFormat,
    plan: ResponsePlan,
    *,
    text: ModelText,
    rng: random.Random,
) -> Script:
    """A streamed answer.

    Raises:
        BadRequest: too long for a Content-Length.
    """
    settings, request = plan.settings, opened.request
    events = due_events(
        form,
        text,
        scheduled_events(plan, rng),
        start_ns=opened.start_ns,
        event_bytes=settings.event_bytes,
    )
    framing = settings.framing
    if framing is Framing.CHUNKED and request.version != "1.1":
        # A client of HTTP/1.0 knows no chunks (RFC 9112, 7.1).
        framing = Framing.CLOSE
    keep_alive = request.keep_alive and framing is not Framing.CLOSE
    headers = stream_headers(opened, form, plan)
    if framing is Framing.CHUNKED:
        headers.append(("Transfer-Encoding", "chunked"))
    elif framing is Framing.LENGTH:
        events, size = _counted(events, plan)
        headers.append(("Content-Length", str(size)))
    headers += connection_headers(request, keep_alive=keep_alive)
    dies = settings.die_after is not None and settings.die_after <= plan.events
    return Script(
        exchange_id=opened.exchange_id,
        path=request.path,
        arrived_ns=request.arrived_ns,
        head=head(200, headers),
        events=events,
        chunked=framing is Framing.CHUNKED,
        keep_alive=keep_alive,
        head_late=settings.headers_late,
        die_after=settings.die_after if dies else None,
        # A comment is a thing of SSE; NDJSON has none.
        heartbeat_ns=int(settings.heartbeat_s * 1e9) if form.terminator == b"\n\n" else 0,
    )


def whole_script(
    opened: ExchangeContext, form: ResponseFormat, plan: ResponsePlan, *, rng: random.Random
) -> Script:
    """The answer to a request that wants no stream: all of it when the last token is due."""
    request = opened.request
    (last,) = deque(scheduled_events(plan, rng), maxlen=1)
    due_ns = opened.start_ns + last.offset_ns
    stamp = {"seq": 0, "due_ns": due_ns}
    body = compact({**form.whole(), "undam": stamp}).encode()
    headers = opened.headers("application/json")
    headers.append(("Content-Length", str(len(body))))
    headers += connection_headers(request, keep_alive=request.keep_alive)
    return Script(
        exchange_id=opened.exchange_id,
        path=request.path,
        arrived_ns=request.arrived_ns,
        head=head(200, headers),
        events=iter([DueEvent(due_ns, body, False)]),
        chunked=False,
        keep_alive=request.keep_alive,
        head_late=True,
    )


def _counted(events: Iterator[DueEvent], plan: ResponsePlan) -> tuple[Iterator[DueEvent], int]:
    each = max(plan.settings.event_bytes or 0, _TYPICAL_EVENT_BYTES)
    if plan.events * each > _MAX_COUNTED_BYTES:
        raise BadRequest(400, f"a Content-Length of over {_MAX_COUNTED_BYTES} bytes is not made")
    made = list(events)
    return iter(made), sum(len(event.data) for event in made)
