"""`undam check --mcp`: check of the standing stream of an MCP server (Streamable HTTP).

A client initializes a session by POST and then opens a stream by GET, on which the server sends
notifications and requests. Silence on it is normal, but a client waits for its response head.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from undam.apis import PLAIN
from undam.diagnosis.findings.standing import StandingStream, find_standing
from undam.diagnosis.hop import analyze_hop, hop_metrics
from undam.diagnosis.reading import read_exchange
from undam.errors import NetworkError, ResponseError, UndamError
from undam.framing import BodyDecoder
from undam.intermediaries import Trouble, fix_for, suspects_of_cut
from undam.probe.fetch import SentRequest, finished, require_stream, with_timeout
from undam.probe.options import CheckOptions, Place, request_headers
from undam.probe.remedies import recognised_in
from undam.probe.secrecy import clean_error
from undam.record import Ending, Exchange, redact_url
from undam.rules import Finding, Fix, Severity, Verdict
from undam.rules.model import finding_json
from undam.sse import Comment
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

DEFAULT_SILENCE_S = 20.0
"""Time for which the standing stream is observed by default."""

_PROTOCOL = "2025-06-18"
_POST_S = 5.0
# Some MCP clients stop waiting for the response head after one minute.
_HEAD_S = 60.0
_PING_S = 5.0
_SESSION = "mcp-session-id"
_RETRY = re.compile(rb"(?m)^retry: ?(\d{1,9})\r?$")
_MAX_ANSWER_BYTES = 1 << 20

_SEND_HEAD = Fix("origin", "send the head immediately, and a comment line after it: `: ping`")
_HEARTBEAT = Fix("origin", "send a comment line, `: ping`, every 15 s")

_INITIALIZE = {
    "protocolVersion": _PROTOCOL,
    "capabilities": {},
    "clientInfo": {"name": "undam", "version": "1"},
}


@dataclass(frozen=True, slots=True)
class McpReport:
    """Result of `undam check --mcp` for one server."""

    place: Place
    standing: StandingStream
    findings: tuple[Finding, ...]
    exchanges: tuple[Exchange, ...]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: ``STREAMING`` if the stream was opened, even if no event arrived."""
        codes = {one.code for one in self.findings}
        if "UD618" in codes:
            return Verdict.HELD_TO_END
        return Verdict.STREAMING if self.standing.offered else Verdict.UNKNOWN

    @property
    def is_clean(self) -> bool:
        """Return whether there are no errors or warnings among the findings."""
        return all(one.severity is Severity.INFO for one in self.findings)


async def check_mcp(options: CheckOptions, silence_s: float) -> McpReport:
    """Initialize a session, open the standing stream, and watch it for ``silence_s`` seconds.

    Raises:
        NetworkError, RemoteProtocolError: the server could not be reached.
        ResponseError: it refused the stream with an error status other than 405.
    """
    try:
        client = _Session(options, options.edge)
        session = await client.initialize()
        standing, exchanges = await client.observe(session, silence_s)
        await client.end(session)
    except UndamError as error:
        clean_error(error, options.secrets)
        raise
    found = find_standing(options.edge.name, standing)
    fixed = [_with_fix(one, standing, exchanges) for one in found]
    return McpReport(options.edge, standing, tuple(fixed), tuple(exchanges))


def _with_fix(found: Finding, standing: StandingStream, exchanges: Sequence[Exchange]) -> Finding:
    signed = recognised_in(exchanges[0]) if exchanges else ()
    if found.code == "UD618":
        return replace(found, fix=fix_for(signed, Trouble.HEADERS_HELD) or _SEND_HEAD)
    if found.code == "UD620" and standing.ended_after_s is not None:
        names = signed or suspects_of_cut(standing.ended_after_s, total=False)
        fix = fix_for(names, Trouble.IDLE_LIMIT)
        if fix is not None and not signed:
            fix = Fix(f"{fix.where}, if that is in the path", fix.text)
        return replace(found, fix=fix or _HEARTBEAT)
    return found


def mcp_json(report: McpReport) -> dict[str, object]:
    """Return the report as JSON data: the fields of `undam check`, plus ``mcp``."""
    row: dict[str, object] = {
        "name": report.place.name,
        "url": redact_url(report.place.url),
        "headers_ms": report.standing.head_ms,
    }
    if report.exchanges:
        row = {**hop_metrics(analyze_hop([read_exchange(report.exchanges[0])])), **row}
    return {
        "schema": 1,
        "command": "check",
        "verdict": report.verdict.value,
        "hops": [{**row, "verdict": report.verdict.value}],
        "findings": [finding_json(one) for one in report.findings],
        "mcp": asdict(report.standing),
    }


class _Session:
    """Session with an MCP server."""

    def __init__(self, options: CheckOptions, place: Place) -> None:
        self._options = options
        self._place = place
        self._next_id = 0

    async def initialize(self) -> str | None:
        """Start a session and return its ID; ``None`` if none arrived in time.

        A server that does not answer may still offer a stream, so this is not an error.
        """
        try:
            answer = await self._post("initialize", _INITIALIZE)
        except UndamError:
            return None
        if answer is None:
            return None
        session = answer.get(_SESSION)
        with suppress(UndamError):
            await self._post("notifications/initialized", None, session=session)
        return session

    async def end(self, session: str | None) -> None:
        """End the session, so that the server can discard it."""
        if session is not None:
            request = Request(
                url=self._place.url, method="DELETE", headers=self._headers("*/*", session)
            )
            with suppress(UndamError):
                async with await open_stream(request, self._short()):
                    pass

    async def observe(
        self, session: str | None, silence_s: float
    ) -> tuple[StandingStream, list[Exchange]]:
        """Open the standing stream and wait; meanwhile, ping the server in another request."""
        request = Request(
            url=self._place.url, method="GET", headers=self._headers("text/event-stream", session)
        )
        limit = min(_HEAD_S, self._options.client.timeout_s)
        config = with_timeout(self._options.client, limit + silence_s)
        started = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                stream = await open_stream(request, config)
        except (TimeoutError, NetworkError) as error:
            if isinstance(error, NetworkError) and error.phase != "headers":
                raise
            waited = round(time.monotonic() - started, 3)
            return StandingStream(head_ms=None, waited_s=waited), []
        async with stream:
            if stream.head.status == 405:
                return StandingStream(head_ms=None, waited_s=0.0, offered=False), []
            await require_stream(stream, SentRequest(request, config, self._place.name, PLAIN.name))
            _require_event_stream(stream, self._place)
            return await self._watch(stream, session, silence_s)

    async def _watch(
        self, stream: Stream, session: str | None, silence_s: float
    ) -> tuple[StandingStream, list[Exchange]]:
        stamps = stream.stamps
        head_ns = (stamps.head_ns or 0) - (stamps.sent_ns or stamps.start_ns)
        pinging = asyncio.ensure_future(self._ping(session))
        arrivals: list[Arrival] = []
        started = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(silence_s):
                async for arrival in stream:
                    arrivals.append(arrival)  # noqa: PERF401 (kept if the time ends)
        lasted = time.monotonic() - started
        exchange = finished(stream, tuple(arrivals), hop=self._place.name, api=PLAIN.name)
        events, comments, pings = _counts(stream, [one.data for one in arrivals])
        ended = stream.ending not in {None, Ending.TIMEOUT}
        if not ended:
            exchange = replace(exchange, ended_ns=time.time_ns())
        return (
            StandingStream(
                head_ms=round(head_ns / 1e6, 3),
                waited_s=round(head_ns / 1e9, 3),
                observed_s=round(lasted, 3),
                events=events,
                comments=comments,
                server_pings=pings,
                ended_after_s=round(lasted, 3) if ended else None,
                ended_cleanly=stream.ending in {Ending.COMPLETE, Ending.CLOSED},
                ping_ms=await pinging,
                has_session=session is not None,
                retry_ms=_retry_ms([one.data for one in arrivals]),
            ),
            [exchange],
        )

    async def _ping(self, session: str | None) -> float | None:
        """Return the response time of a ping in ms; ``None`` if it was not answered."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(_PING_S):
                answer = await self._post("ping", {}, session=session)
        except (TimeoutError, UndamError):
            return None
        return None if answer is None else round((time.monotonic() - started) * 1000, 3)

    async def _post(
        self, method: str, params: object, *, session: str | None = None
    ) -> dict[str, str] | None:
        """Send a message, wait for the response head, and return its headers; ``None`` on failure.

        Names of headers are in lower case. ``None`` means an error status.
        """
        message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            self._next_id += 1
            message |= {"id": self._next_id, "params": params}
        headers = self._headers("application/json, text/event-stream", session)
        request = Request(
            url=self._place.url,
            method="POST",
            headers=(*headers, ("Content-Type", "application/json")),
            body=json.dumps(message).encode(),
        )
        async with await open_stream(request, self._short()) as stream:
            size = 0
            async for arrival in stream:
                size += len(arrival.data)
                if b"jsonrpc" in arrival.data or size > _MAX_ANSWER_BYTES:
                    break
            if not 200 <= stream.head.status < 300:
                return None
            return {name.lower(): value for name, value in stream.head.headers}

    def _short(self) -> ClientConfig:
        limit = min(_POST_S, self._options.client.timeout_s)
        return with_timeout(self._options.client, limit)

    def _headers(self, accept: str, session: str | None) -> tuple[tuple[str, str], ...]:
        headers = [*request_headers(self._options, self._place), ("Accept", accept)]
        headers.append(("MCP-Protocol-Version", _PROTOCOL))
        if session is not None:
            headers.append(("Mcp-Session-Id", session))
        return tuple(headers)


def _require_event_stream(stream: Stream, place: Place) -> None:
    kind = stream.head.get("content-type") or ""
    if kind and kind.partition(";")[0].strip().lower() != "text/event-stream":
        raise ResponseError(
            f"{place.name} ({redact_url(stream.url)}) answered {stream.head.status} with the type "
            f"{kind[:60]!r} instead of an event stream; a server without a standing stream must "
            f"answer 405"
        )


def _retry_ms(reads: Sequence[bytes]) -> int | None:
    found = _RETRY.findall(b"".join(reads)[-_MAX_ANSWER_BYTES:])
    return int(found[-1]) if found else None


def _counts(stream: Stream, reads: Sequence[bytes]) -> tuple[int, int, int]:
    """Return the number of messages, comments and pings in the stream."""
    decoder = BodyDecoder(stream.head.get("content-type") or "")
    events = comments = pings = 0
    for data in reads:
        try:
            items = decoder.receive_data(data)
        except UndamError:
            break
        for item in items:
            if isinstance(item, Comment):
                comments += 1
            elif _is_ping(item.data):
                pings += 1
            else:
                events += 1
    return events, comments, pings


def _is_ping(data: str) -> bool:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("method") == "ping"
