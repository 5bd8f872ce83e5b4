"""One connection to an upstream: one answer at a time, and the short way of a token.

llhttp reads everything but the reads that are nearly all of a stream's: whole chunks, nearly always
one, that end with an event. Those pass with their framing, and the parser, which stands between two
chunks before and after, need not see them.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import Protocol, cast

import httptools

from undam.gateway.http.fast_path import BATCH, FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.interfaces import Upstream
from undam.http1.headers import RawHeaders

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")

# Reads up to this may be comments, which are no token; no event with content is as short.
_COMMENT_BYTES = 40
_END = slice(-4, None)
_EVENT_END, _CRLF_EVENT_END = b"\n\n\r\n", b"\r\n\r\n\r\n"


def _first_line(length: int) -> bytes:
    """How a read of ``length`` bytes begins if it is exactly one chunk, in lower case; what no
    read begins with, where there is no such chunk."""
    for digits in range(1, 5):
        size = length - digits - 4
        if length > _COMMENT_BYTES and len(b"%x" % size) == digits:
            return b"%x\r\n" % size
    return b"-"


# By the length of a read; events of model servers have some hundred bytes.
_SHORT = 2048
_FIRST_LINES = tuple(map(_first_line, range(_SHORT)))
_FIRST_LINE_SLICES = tuple(slice(len(line)) for line in _FIRST_LINES)


def is_whole_events(data: bytes) -> bool:
    """Whether ``data`` is one or more whole chunks, none of them the last of a body, that end
    with an event."""
    if len(data) <= _COMMENT_BYTES or not data.endswith((_EVENT_END, _CRLF_EVENT_END)):
        return False
    at = 0
    while at < len(data):
        line = _SIZE.match(data, at)
        if line is None or not (size := int(line[1], 16)):
            return False
        at = line.end() + size + 2
        if data[at - 2 : at] != b"\r\n":
            return False
    return at == len(data)


class Receiver(Protocol):
    """Who asked: gets the answer in order. Any call may abort the connection."""

    def head_came(self, head: ResponseHead, now: float) -> None:
        """The head; not called for 1xx."""
        ...

    def body_came(self, data: bytes, now: float) -> None:
        """The body's bytes of one read, without framing."""
        ...

    def end_came(self) -> None:
        """The answer is whole, and the connection somebody else's."""
        ...

    def died(self, why: str, *, answered: bool) -> None:
        """The connection broke, or what came is no HTTP; ``answered``: some bytes had come."""
        ...

    def fast_path(self) -> FastPath | None:
        """Where whole chunks of whole events may go from now on; ``None``: not now."""
        ...

    def upstream_full(self, full: bool) -> None:
        """The upstream takes no more of the request's body for now, or does again."""
        ...


class Owner(Protocol):
    """What keeps connections."""

    def give(self, connection: UpstreamConnection) -> None:
        """It is free for another request."""
        ...

    def lost(self, connection: UpstreamConnection) -> None:
        """It is closed."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """The protocol of one socket to ``upstream``."""

    __slots__ = (
        "_answered", "_broken", "_complete", "_fast", "_head", "_headers", "_headless", "_keep",
        "_max_head", "_once", "_owner", "_parser", "_paused", "_pieces", "_reason", "_receiver",
        "_seen", "_told", "_whole", "closed", "idle_since", "transport", "upstream",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, owner: Owner, max_head_bytes: int) -> None:
        self.upstream = upstream
        self.closed = False
        self.idle_since = 0.0
        self.transport: asyncio.Transport | None = None
        self._owner = owner
        self._max_head = max_head_bytes
        self._parser: httptools.HttpResponseParser | None = None
        self._receiver: Receiver | None = None
        self._fast: FastPath | None = None
        self._pieces: list[bytes] = []
        self._paused = self._once = False
        self._reset(headless=False)

    def _reset(self, *, headless: bool) -> None:
        self._head: ResponseHead | None = None
        self._headers: RawHeaders = []
        self._reason = b""
        self._seen = 0
        self._answered = self._told = self._complete = self._keep = False
        self._headless = headless
        self._whole = False
        self._broken = ""

    @property
    def complete(self) -> bool:
        """Nothing of the answer is still to come: its end is told when its body has been."""
        return self._complete

    def begin(self, receiver: Receiver, request: bytes, *, headless: bool, once: bool) -> None:
        """Send a request, whose answer goes to ``receiver``.

        Args:
            headless: it is a HEAD request, whose answer has no body whatever its head says.
            once: the connection takes no other request after it: more of its body is still to
                come when the answer may be whole already.
        """
        assert self.transport is not None
        self._once = once
        self._reset(headless=headless)
        self._receiver = receiver
        self.transport.write(request)
        # Made while the request is on its way.
        self._parser = httptools.HttpResponseParser(self)

    def send(self, data: bytes) -> None:
        """More of the request's body."""
        assert self.transport is not None
        self.transport.write(data)

    def abort(self) -> None:
        """Close it at once; nobody is told."""
        self._receiver = self._fast = None
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused and self.transport is not None and not self.closed:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self.transport is not None and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    def slow_down(self) -> None:
        """Let no read take the short way until the next has gone the long one."""
        self._fast = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it.

    def data_received(self, data: bytes) -> None:
        fast_path = self._fast
        size = len(data)
        # This is done for each token: numbers are compared, and nothing is called for nothing.
        if fast_path is not None and (
            (
                size < _SHORT
                and data[_FIRST_LINE_SLICES[size]] == _FIRST_LINES[size]
                and (data[_END] == _EVENT_END or data.endswith(_CRLF_EVENT_END))
            )
            or is_whole_events(data)
        ):
            # Not `fast_path.write(data)`: a slot that is called so is looked up anew each time.
            write = fast_path.write
            write(data)
            fast_path.before = fast_path.last
            fast_path.last = data
            fast_path.bytes += size
            now = monotonic()
            gaps = fast_path.gaps
            gaps.append(now - fast_path.at)
            fast_path.at = now
            if len(gaps) >= BATCH:
                fast_path.full()
            return
        self._feed(data)

    def eof_received(self) -> None:
        """Nothing more will come; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._owner.lost(self)
        # It holds bound methods of this object, a cycle that would wait for the collector.
        self._parser = None
        receiver, self._receiver, self._fast = self._receiver, None, None
        if receiver is None:
            return
        head = self._head
        if exc is None and head is not None and not head.chunked and head.length is None:
            receiver.end_came()
        else:
            why = "the upstream closed the connection" if exc is None else f"connection lost: {exc}"
            receiver.died(why, answered=self._answered)

    def pause_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.upstream_full(True)

    def resume_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.upstream_full(False)

    # The long way.

    def _feed(self, data: bytes) -> None:
        self._fast = None
        receiver, parser = self._receiver, self._parser
        if receiver is None:
            self.abort()  # Bytes that nobody asked for.
            return
        assert parser is not None  # It comes and goes with the receiver.
        now = monotonic()
        self._answered = True
        pieces = self._pieces
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._broken = "the upstream switched protocols unasked"
        except httptools.HttpParserError as error:
            self._broken = self._broken or f"the upstream's answer is malformed: {error}"[:200]
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        head = self._head
        if head is None:
            self._seen += len(data)
            if self._seen > self._max_head:
                self._broken = f"the upstream's head is over {self._max_head} bytes"
        elif not self._told:
            self._told = True
            if self._headless:
                self._complete, body = True, b""
            receiver.head_came(head, now)
        if body and self._receiver is receiver:
            receiver.body_came(body, now)
        if self._receiver is not receiver:
            return
        if self._complete:
            self._finish(receiver)
        elif self._broken:
            self.abort()
            receiver.died(self._broken, answered=True)
        elif self._whole and data.endswith(b"\r\n"):
            self._fast = receiver.fast_path()

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = self._parser = None
        self.resume()
        if self._keep and not (self._headless or self._once or self._broken):
            self._owner.give(self)
        else:
            self.abort()
        receiver.end_came()

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self._complete:
            self._broken = "more bytes than the answer"
        self._headers = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status == 101:
            self._broken = "the upstream switched protocols unasked"
        if status < 200 or self._complete or self._head is not None:
            return
        for name, value in self._headers:
            if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
                self._broken = "the upstream uses an unknown transfer coding"
        self._head = ResponseHead(status, self._reason, self._headers)
        self._headers = []

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._pieces.append(data)

    def on_chunk_header(self) -> None:
        self._whole = False

    def on_chunk_complete(self) -> None:
        self._whole = True

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._head is not None:
            self._complete = True
            self._keep = bool(self._parser.should_keep_alive())
