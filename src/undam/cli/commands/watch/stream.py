"""Reads one stream, shows it while it arrives, and analyzes it at the end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from undam.cli.commands.watch.view import View
from undam.diagnosis.findings.endings import find_endings
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import MAX_EVENT_BYTES, form_of, read_exchange
from undam.errors import RemoteProtocolError
from undam.probe.fetch import finished, require_stream
from undam.probe.models import first_model
from undam.probe.options import CheckOptions, api_of, request_for
from undam.probe.secrecy import clean_finding
from undam.record import Exchange, Head
from undam.rules import Finding
from undam.sse import Comment, Event, LineParser, Parser
from undam.timing import Arrival
from undam.wire import open_stream

_HOP = "edge"
_FIRST_BYTES = 64


@dataclass(frozen=True, slots=True)
class Watched:
    """Result of one stream.

    Args:
        interrupted: the user stopped it, so its end is not analyzed.
        findings: findings about its end.
    """

    hop: Hop
    interrupted: bool
    findings: tuple[Finding, ...]

    @property
    def exchange(self) -> Exchange:
        """The recorded exchange."""
        return self.hop.exchange


class _LiveParser:
    """Parses reads as they arrive; the final analysis reports parse errors."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._first = b""
        self._parser: Parser | LineParser | None = None
        self._is_stream = True

    def receive(self, arrival: Arrival) -> list[Event | Comment] | None:
        """Return the items that the read completes; ``None`` if the body is not an event stream."""
        if self._parser is None and self._is_stream:
            self._first = (self._first + arrival.data)[:_FIRST_BYTES]
            if not self._first:
                return []
            self._choose()
        if self._parser is None:
            return None
        try:
            return [*self._parser.receive_data(arrival.data)]
        except RemoteProtocolError:
            return []

    def _choose(self) -> None:
        form = form_of(self._head, self._first)
        if form == "sse":
            self._parser = Parser(max_event_bytes=MAX_EVENT_BYTES)
        elif form == "ndjson":
            self._parser = LineParser(max_line_bytes=MAX_EVENT_BYTES)
        else:
            self._is_stream = False


async def watch_stream(options: CheckOptions, view: View | None) -> Watched:
    """Send the request, show the response in ``view``, and analyze it.

    Raises:
        NetworkError, RemoteProtocolError, ResponseError: there is no response.
        BrokenPipeError: the reader of the view's output has exited.
    """
    place = options.edge
    api = api_of(place).name
    request = request_for(options, place, model=await first_model(options))
    arrivals: list[Arrival] = []
    interrupted = False
    async with await open_stream(request, options.client) as stream:
        await require_stream(stream, hop=_HOP, api=api, secrets=options.secrets)
        sent_ns = stream.stamps.sent_ns or stream.stamps.start_ns
        parser = _LiveParser(stream.head)
        try:
            async for arrival in stream:
                arrivals.append(arrival)
                if view is not None:
                    items = parser.receive(arrival)
                    at_ns = arrival.at_ns - sent_ns
                    if items is None:
                        view.show_bytes(at_ns, arrival.data)
                    else:
                        view.show(at_ns, items)
        except asyncio.CancelledError:
            # Ctrl-C: the data received so far is still analyzed and reported as interrupted.
            interrupted = True
        exchange = finished(stream, tuple(arrivals), hop=_HOP, api=api)
    if interrupted:
        exchange = replace(exchange, ended_ns=max(exchange.ended_ns, time.time_ns()))
    return _analyze(exchange, interrupted, options.secrets)


def _analyze(exchange: Exchange, interrupted: bool, secrets: tuple[str, ...]) -> Watched:
    hop = analyze_hop([read_exchange(exchange)])
    found = [] if interrupted else find_endings(hop)
    return Watched(hop, interrupted, tuple(clean_finding(one, secrets) for one in found))
