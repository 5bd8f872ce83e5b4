"""Handling of one stream: read it, show it as it arrives, and analyze it at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from undam.cli.commands.watch.view import View
from undam.diagnosis.findings.endings import find_endings
from undam.diagnosis.findings.integrity import find_faults
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import MAX_EVENT_BYTES, read_exchange
from undam.errors import RemoteProtocolError
from undam.framing import BodyDecoder, Framing
from undam.probe.fetch import SentRequest, finished, require_stream
from undam.probe.hop_budget import HopBudget
from undam.probe.models import first_model
from undam.probe.options import CheckOptions, api_of, request_for
from undam.probe.secrecy import clean_finding
from undam.record import Ending, Exchange, Head
from undam.rules import Finding
from undam.sse import Comment, Event
from undam.timing import Arrival
from undam.wire import open_stream
from undam.work_budget import WorkBudget, WorkLimitError, pieces

_HOP = "edge"


@dataclass(frozen=True, slots=True)
class Watched:
    """Result of watching one stream.

    Args:
        interrupted: the user stopped the stream, so its end is not analyzed.
        findings: findings about the end of the stream and about damaged content.
    """

    hop: Hop
    interrupted: bool
    findings: tuple[Finding, ...]

    @property
    def exchange(self) -> Exchange:
        """The recorded exchange."""
        return self.hop.exchange


class _LiveParser:
    """Decoder of a body as it arrives. Malformed data is left to the analysis at the end."""

    def __init__(self, head: Head, budget: WorkBudget) -> None:
        self._budget = budget
        self._decoder = BodyDecoder(head.get("content-type") or "", max_event_bytes=MAX_EVENT_BYTES)

    def receive(self, arrival: Arrival) -> list[Event | Comment] | None:
        """Return the events that the read completes; ``None`` if the body has no events.

        Raises:
            WorkLimitError: the stream has too many events and comments.
        """
        items: list[Event | Comment] = []
        try:
            for piece in pieces(arrival.data):
                read = self._decoder.receive_data(piece)
                self._budget.spend(len(read))
                items += read
        except RemoteProtocolError:
            return items
        if self._decoder.framing in {Framing.TEXT, Framing.BYTES} and not _are_coded(items):
            return None
        return items

    def receive_eof(self) -> list[Event | Comment]:
        """Return the events that the end of the body completes."""
        try:
            items = self._decoder.receive_eof()
        except RemoteProtocolError:
            return []
        return [] if self._decoder.framing in {Framing.TEXT, Framing.BYTES} else items


def _are_coded(items: Sequence[Event | Comment]) -> bool:
    """Return whether the text is in the line format of the Vercel AI SDK's data stream."""
    return bool(items) and all(isinstance(item, Event) and len(item.event) == 1 for item in items)


async def watch_stream(options: CheckOptions, view: View | None) -> Watched:
    """Send the request, show the response in ``view``, and analyze it.

    Raises:
        NetworkError, RemoteProtocolError, ResponseError: there is no response.
        BrokenPipeError: the reader of the view's output has exited.
    """
    edge = options.edge
    api = api_of(edge).name
    budget = HopBudget(options)
    request = request_for(options, edge, model=await first_model(options))
    arrivals: list[Arrival] = []
    interrupted = False
    limit: str | None = None
    async with await open_stream(request, budget.client_for(edge)) as stream:
        await require_stream(stream, SentRequest(request, options.client, _HOP, api))
        sent_ns = stream.stamps.sent_ns or stream.stamps.start_ns
        parser = _LiveParser(stream.head, budget.for_analysis())
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
            if view is not None and (items := parser.receive_eof()):
                view.show(arrivals[-1].at_ns - sent_ns, items)
        except WorkLimitError as error:
            limit = str(error)
        except asyncio.CancelledError:
            # After Ctrl-C, the data received so far is still analyzed, and reported as interrupted.
            interrupted = True
        exchange = finished(stream, tuple(arrivals), hop=_HOP, api=api)
    if limit is not None:
        exchange = replace(exchange, ending=Ending.LIMIT, error=limit)
    if interrupted:
        exchange = replace(exchange, ended_ns=max(exchange.ended_ns, time.time_ns()))
    hop = analyze_hop([read_exchange(exchange, budget.for_analysis())])
    return _result(hop, interrupted, options.secrets)


def _result(hop: Hop, interrupted: bool, secrets: tuple[str, ...]) -> Watched:
    found = [] if interrupted else [*find_endings(hop), *find_faults(hop.name, hop.integrity)]
    return Watched(hop, interrupted, tuple(clean_finding(one, secrets) for one in found))
