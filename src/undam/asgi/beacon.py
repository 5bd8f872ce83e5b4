"""`Beacon`: a mountable ASGI endpoint for `undam check --beacon`.

It implements the protocol of `undam.timing.beacon` with `EventStream`. The measured streams are
therefore sent in the same way as those of the application.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from undam.asgi.beacon_events import BeaconEventForm, chat_chunk, dividing, is_chat, read_body
from undam.asgi.interface import Reason, Receive, Scope, Send
from undam.asgi.response.event_stream import EventStream
from undam.errors import RemoteProtocolError, UsageError
from undam.host import host_name
from undam.http1.headers import RawHeaders
from undam.sse import encode_json
from undam.timing.beacon import (
    HEADER,
    BeaconHead,
    BeaconQuery,
    BeaconSchedule,
    format_head,
    parse_query,
)
from undam.timing.numbered_text import encode_clock, query_in_body

# The same defaults as in `undam sim`: the stream fills several 4 KB blocks and takes about 3 s.
_DEFAULTS = BeaconSchedule(ttft_ms=200, gap_ms=25, before=120, after=0, heartbeat_ms=0)

# Minimum heartbeat interval that a client may request. `undam check` requests 250 ms or more. With
# a shorter interval, a client could overload the server.
_MIN_HEARTBEAT_MS = 50
# Maximum number of finished streams to remember, about 200 bytes each. A check asks for the end of
# its stream within seconds.
_MAX_ENDS = 1000
# Maximum size of a request body that contains a query. Larger bodies are answered with 400.
_MAX_BODY_BYTES = 65536
_PADDING = " Padding of a beacon event, which makes it as long as a typical event."


class Beacon:
    """ASGI application that serves streams whose events carry their due times.

    It allows `undam check` to measure exactly how long each event is held by the hops in front of
    the application. Mount it with ``app.mount("/_undam", Beacon(token=…))``, then run
    ``undam check https://…/_undam/ --beacon -H 'Authorization: Bearer …'``. A request without the
    token is answered with 401. docs/beacon.md lists what the beacon exposes.

    Args:
        token: secret, accepted as a bearer token or in the header ``Undam-Token``.
        max_events: maximum number of events per stream.
        max_silence_s: maximum silence in a stream, and maximum time to its first event.
        max_gap_ms: maximum time between two events.
        max_streams: maximum number of concurrent streams; further requests are answered with 429.
        event_bytes: size of one event, from 100 to 65536.
        accept_prompt: also accept a query in the request body, which applications in front pass on
            as a part of the prompt or as the model name. A path that ends in ``/chat/completions``
            is then answered with the chunks of a chat completion.

    Raises:
        UsageError: the token is empty, or a bound is out of range.
    """

    def __init__(  # noqa: PLR0913 (independent options, all by keyword)
        self,
        *,
        token: str,
        max_events: int = 2000,
        max_silence_s: float = 300.0,
        max_gap_ms: int = 1000,
        max_streams: int = 32,
        event_bytes: int = 200,
        accept_prompt: bool = False,
    ) -> None:
        if not token:
            raise UsageError("a beacon requires a token, because clients can open long streams")
        for name, count in {"max_events": max_events, "max_streams": max_streams}.items():
            if count < 1:
                raise UsageError(f"{name} must be at least 1")
        if not (0 <= max_silence_s < float("inf") and max_gap_ms >= 0):
            raise UsageError("max_silence_s and max_gap_ms must be finite and not negative")
        if not 100 <= event_bytes <= 65536:
            raise UsageError("event_bytes must be from 100 to 65536")
        self._token = _digest(token.encode())
        silence_ms = round(max_silence_s * 1000)
        self._maximum = BeaconSchedule(
            ttft_ms=silence_ms,
            gap_ms=max_gap_ms,
            before=max_events,
            silence_ms=silence_ms,
            after=max_events,
            heartbeat_ms=silence_ms,
            numbered=1,
        )
        self._accept_prompt = accept_prompt
        self._max_streams = max_streams
        self._event_bytes = event_bytes
        self._host = host_name()
        self._open = 0
        self._ends: OrderedDict[str, tuple[int, bool] | None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. As a standalone application, also handle lifespan messages."""
        arrived_ns = time.time_ns()
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(arrived_ns, scope, receive, send)

    async def _answer(self, arrived_ns: int, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        if not self._is_allowed(headers):
            await _reply(send, 401, b"", [(b"www-authenticate", b"Bearer")])
            return
        if scope["method"] not in {"GET", "HEAD", "POST"}:
            await _reply(send, 405, b"", [(b"allow", b"GET, HEAD, POST")])
            return
        try:
            query, in_body = await self._query(headers, scope, receive)
            schedule = self._bounded(query.schedule)
        except (RemoteProtocolError, UsageError) as problem:
            await _reply(send, 400, f"{problem}\n".encode("utf-8", "replace"), [_PLAIN])
            return
        if query.kind == "clock" and in_body:
            await _reply(send, 200, self._clock_events(arrived_ns, scope), [_SSE])
        elif query.kind == "clock":
            clock = {"arrived_ns": arrived_ns, "left_ns": time.time_ns(), "host": self._host}
            await _reply(send, 200, encode_json({**clock, "numbered": True}), [_JSON])
        elif query.kind == "closed":
            await _reply(send, 200, encode_json(self._closed(query.id)), [_JSON])
        elif self._open >= self._max_streams:
            await _reply(send, 429, b"all streams of the beacon are in use\n", [_PLAIN])
        else:
            ident = query.id or secrets.token_hex(8)
            stream = self._stream(ident, schedule, arrived_ns, chat=is_chat(scope))
            await stream(scope, receive, dividing(send) if schedule.numbered else send)

    async def _query(
        self, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive
    ) -> tuple[BeaconQuery, bool]:
        """Return a request's query, and whether it came from the request body.

        Raises:
            RemoteProtocolError: the query or the body is invalid.
        """
        value = headers.get(HEADER.lower().encode())
        if value is not None:
            return _parse(value), False
        found = None
        if self._accept_prompt and scope["method"] == "POST":
            found = query_in_body(await read_body(receive, _MAX_BODY_BYTES))
        return found or BeaconQuery("schedule"), found is not None

    def _clock_events(self, arrived_ns: int, scope: Scope) -> bytes:
        """Return the response events for a clock query that was sent in the request body."""
        text = encode_clock(arrived_ns, time.time_ns(), self._host)
        payload = chat_chunk("clock", {"content": text}) if is_chat(scope) else {"text": text}
        events = [encode_json(payload)]
        if is_chat(scope):
            events.append(encode_json(chat_chunk("clock", {}, "stop")))
        return b"".join(b"data: %b\n\n" % event for event in [*events, b"[DONE]"])

    def _is_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        scheme, _, bearer = headers.get(b"authorization", b"").strip().partition(b" ")
        given = [headers.get(b"undam-token", b"").strip()]
        if scheme.lower() == b"bearer":
            given.append(bearer.strip())
        # All digests have the same length, and all of them are compared. The time taken therefore
        # reveals nothing about the token.
        return sum(hmac.compare_digest(_digest(one), self._token) for one in given) > 0

    def _bounded(self, requested: BeaconSchedule) -> BeaconSchedule:
        """Return ``requested`` with missing values replaced by defaults.

        Raises:
            UsageError: a value exceeds a maximum of this beacon. A silent reduction would make the
                client measure against the wrong schedule.
        """
        values: dict[str, int | None] = {}
        for field in fields(BeaconSchedule):
            value, default, most = (
                getattr(schedule, field.name) for schedule in (requested, _DEFAULTS, self._maximum)
            )
            if value is not None and value > most:
                raise UsageError(f"{field.name}={value} exceeds the maximum of this beacon: {most}")
            if value is None and default is not None:
                value = min(default, most)
            values[field.name] = value
        schedule = BeaconSchedule(**values)
        if (schedule.before or 0) + (schedule.after or 0) > (self._maximum.before or 0):
            raise UsageError(
                f"the number of events exceeds the maximum of this beacon: {self._maximum.before}"
            )
        return schedule

    def _stream(
        self, ident: str, schedule: BeaconSchedule, arrived_ns: int, *, chat: bool
    ) -> EventStream:
        self._open += 1
        self._ends[ident] = None
        if len(self._ends) > _MAX_ENDS:
            self._ends.popitem(last=False)

        def ended(reason: Reason) -> None:
            self._open -= 1
            if ident in self._ends:
                self._ends[ident] = (time.time_ns(), reason == "complete")

        head = BeaconHead(ident, arrived_ns, self._host)
        heartbeat_ms = schedule.heartbeat_ms
        return EventStream(
            self._events(schedule, arrived_ns, ident, chat=chat and self._accept_prompt),
            heartbeat=max(heartbeat_ms, _MIN_HEARTBEAT_MS) / 1000 if heartbeat_ms else None,
            headers={HEADER: format_head(head)},
            on_close=ended,
        )

    async def _events(
        self, schedule: BeaconSchedule, start_ns: int, ident: str, *, chat: bool
    ) -> AsyncIterator[Any]:
        total = (schedule.before or 0) + (schedule.after or 0)
        padding = _padding(self._event_bytes)
        form = BeaconEventForm(ident, total, padding, numbered=bool(schedule.numbered), chat=chat)
        for seq, due_ns in enumerate(due_times(schedule, start_ns)):
            # Waits are computed from the schedule, so that one late event does not delay the next
            # ones.
            send_ns = due_ns - (form.early_ns(seq) if seq < total else 0)
            while (wait_ns := send_ns - time.time_ns()) > 0:  # noqa: ASYNC110 (a timer)
                await asyncio.sleep(wait_ns / 1e9)
            if seq < total:
                yield form.event(seq, due_ns)
        for event in form.closing():
            yield event

    def _closed(self, ident: str) -> Mapping[str, object]:
        end = self._ends.get(ident)
        return {
            "known": ident in self._ends,
            "closed_ns": end[0] if end else None,
            "finished": end[1] if end else False,
        }


def due_times(schedule: BeaconSchedule, start_ns: int) -> Iterator[int]:
    """Yield the due time of each event in ``schedule``, and then the end of the stream, in Unix ns.

    As in `undam sim`, the silence replaces a gap or is added to the time to the first event.
    """
    before, after = schedule.before or 0, schedule.after or 0
    gap_ms, silence_ms = schedule.gap_ms or 0, schedule.silence_ms
    at_ms = schedule.ttft_ms or 0
    for number in range(before + after):
        if number == before and silence_ms is not None:
            at_ms += silence_ms
        elif number:
            at_ms += gap_ms
        yield start_ns + at_ms * 1_000_000
    if not after:
        at_ms += silence_ms or 0
    yield start_ns + at_ms * 1_000_000


_JSON = (b"content-type", b"application/json")
_SSE = (b"content-type", b"text/event-stream; charset=utf-8")
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")


def _padding(event_bytes: int) -> str:
    frame = encode_json({"undam": {"seq": 100, "due_ns": time.time_ns()}, "text": ""})
    missing = max(1, event_bytes - len(b"data: \n\n") - len(frame))
    return (_PADDING * (missing // len(_PADDING) + 1))[:missing]


def _parse(value: bytes) -> BeaconQuery:
    return parse_query(value.decode("latin-1"))


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


async def _reply(send: Send, status: int, body: bytes, headers: RawHeaders) -> None:
    length = (b"content-length", str(len(body)).encode())
    head = [*headers, length, (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
