"""The way to the client of one answer: framing, heartbeats, and every way to end.

What goes out of an event stream is always whole events, so anything may follow at any moment.
"""

from __future__ import annotations

import asyncio

from undam.gateway.http.event_framer import EventFramer
from undam.gateway.http.headers import OPENED, ResponseHead, date_line, own_head
from undam.gateway.interfaces import RequestRecord
from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.http1.request_parser import RequestHead
from undam.sse import encode_comment

PING = encode_comment("ping")
"""With one line end: a blank line would make openai-python read an event without data after an
``id``, and openai-go before 3.43 fail on it always."""

_BODILESS = frozenset({204, 304})


class ResponseWriter:
    """Writes one answer.

    Attributes:
        opened: a head was written.
        chunked: the body goes out in chunks.
        framer: of an event stream whose bytes can be read; ``None`` for any other body.
        keep: the connection can take another request after this answer.
        wrote_at: the last write.
    """

    __slots__ = (
        "_begun",
        "_head",
        "_made",
        "_made_of",
        "_measured",
        "_record",
        "_request_id",
        "_transport",
        "chunked",
        "framer",
        "keep",
        "opened",
        "write",
        "wrote_at",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        head: RequestHead,
        record: RequestRecord,
        *,
        request_id: str,
        keep: bool,
        now: float,
    ) -> None:
        self._transport = transport
        self._head = head
        self._record = record
        self._request_id = request_id
        self.write = transport.write
        self.keep = keep and head.keep_alive
        self.opened = self.chunked = self._measured = False
        self.framer: EventFramer | None = None
        self.wrote_at = now
        self._begun = self._made = b""
        self._made_of: ResponseHead | None = None

    def make(self, head: ResponseHead) -> None:
        """Make of an event stream's head what `open` will send, while nobody waits for it.

        Nothing is settled by that: the answer may yet be another.
        """
        if self._head.method != "HEAD" and not self.opened:
            chunked = self._head.minor == 1
            framing = _framing(chunked=chunked, keep=self.keep and chunked)
            self._made = head.towards(self._request_id, framing=framing, keep_length=False)
            self._made_of = head

    def open(self, head: ResponseHead, now: float, *, follows: bool = False) -> None:
        """Pass an upstream's head on; where the body ``follows`` at once, with it or by `flush`."""
        self.opened = True
        self._record.status = head.status
        bodiless = self._head.method == "HEAD" or head.status in _BODILESS
        if head.events and not bodiless:
            self.framer = EventFramer()
        keep_length = bodiless or (head.length is not None and self.framer is None)
        self._measured = keep_length
        if not keep_length:
            self._choose_framing()
        if head is self._made_of:
            data = self._made
        else:
            data = head.towards(self._request_id, framing=self._framing(), keep_length=keep_length)
        self._made, self._made_of = b"", None
        if follows:
            self._begun = data
        else:
            self._send(data, now)

    def flush(self) -> None:
        """Send what still waits for what follows it."""
        if self._begun:
            self._send(b"", self.wrote_at)

    def open_events(self, now: float) -> None:
        """Open a stream that no upstream has answered yet."""
        self.opened = True
        self._record.status = 200
        self._made, self._made_of = b"", None
        self.framer = EventFramer()
        self._choose_framing()
        head = own_head(200, OPENED + date_line(), self._request_id, self._framing())
        self._send(head, now)

    def body(self, data: bytes, now: float, *, follows: bool = False) -> None:
        """Pass what can go of one read's bytes; an event that is not whole waits.

        Args:
            follows: the end does at once, by `finish` or `break_off`, and goes with them.
        """
        if self.framer is not None:
            data = self.framer.take(data)
        if not data:
            return
        if follows:
            self._begun += self._framed(data)
        else:
            self._send(self._framed(data), now)

    def heartbeat(self, now: float) -> None:
        """A comment, if one may stand here; the silence counts from now in any case."""
        self.wrote_at = now
        if self.framer is not None and not self.framer.torn:
            self._send(self._framed(PING), now)

    def finish(self) -> None:
        """End in good order."""
        rest = self.framer.flush() if self.framer is not None else b""
        data = self._framed(rest) if rest else b""
        if self.chunked:
            data += LAST_CHUNK
        if data or self._begun:
            self._send(data, self.wrote_at)

    def break_off(self, event: bytes, now: float) -> None:
        """End so that nobody takes it for a whole answer: after ``event``, if one may stand here,
        without the end that the framing asks for.

        An unfinished event is never shown; of one too large to hold, whose beginning has passed,
        the reader discards what it has (WHATWG HTML, 9.2.6), so nothing may follow it.
        """
        self.keep = False
        self.flush()
        if self.framer is None:
            if not (self.chunked or self._measured):
                # Without framing a close in good order would look like the end of the body.
                self._transport.abort()
            return
        self.framer.held = b""
        if not self.framer.torn:
            self._send(self._framed(event), now)

    def answer(self, status: int, lines: bytes, body: bytes, now: float) -> None:
        """A whole answer of the gateway's own.

        Args:
            lines: further header lines, each with its line end.
        """
        self.opened = True
        self._record.status = status
        lines += b"Content-Length: %d\r\n%b" % (len(body), date_line())
        head = own_head(status, lines, self._request_id, self._framing())
        self._send(head if self._head.method == "HEAD" else head + body, now)

    def _framed(self, data: bytes) -> bytes:
        return encode_chunk(data) if self.chunked else data

    def _choose_framing(self) -> None:
        self.chunked = self._head.minor == 1
        self.keep = self.keep and self.chunked

    def _framing(self) -> bytes:
        return _framing(chunked=self.chunked, keep=self.keep)

    def _send(self, data: bytes, now: float) -> None:
        if self._begun:
            data, self._begun = self._begun + data, b""
        self.wrote_at = now
        self._record.bytes_out += len(data)
        self.write(data)


def _framing(*, chunked: bool, keep: bool) -> bytes:
    coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    return coding if keep else coding + b"Connection: close\r\n"
