"""HTTP/1.1 of the simulator: bytes to requests, and the bytes of heads and chunks. Bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl

import httptools

from undam.errors import RemoteProtocolError

MAX_HEAD_BYTES = 32 << 10
"""nginx takes 32 KB of request head, Apache 8 KB a line, Node 16 KB."""

MAX_BODY_BYTES = 4 << 20
"""A million tokens of prompt; parsing it costs 30 ms, which every other stream waits for."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class BadRequest(RemoteProtocolError):
    """A request that gets an error of ``status`` and, where the framing is lost, the close."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request.

    Args:
        headers: names in lower case.
        arrived_ns: when its last byte reached this machine, CLOCK_REALTIME.
    """

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool
    arrived_ns: int

    def get(self, name: str) -> str | None:
        """The first value of a header (name in lower case), or ``None``."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> str:
        """The target's path, also when the target is a whole URL."""
        target = self.target.partition("?")[0]
        if target.startswith("http://"):
            target = "/" + target.removeprefix("http://").partition("/")[2]
        return target

    def query(self) -> list[tuple[str, str]]:
        """The query's pairs in order; raises BadRequest for too many."""
        try:
            return parse_qsl(self.target.partition("?")[2], max_num_fields=50)
        except ValueError:
            raise BadRequest(400, "the query cannot be read") from None


class RequestReader:
    """Turn reads of any size into requests.

    A read that breaks the protocol or a bound sets ``problem``; the requests that were whole
    before it still count. Nothing may be fed after that.
    """

    def __init__(self) -> None:
        self.problem: BadRequest | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Request] = []
        self._at_ns = 0
        self._in_body = self._continue = False
        self._head_bytes = 0
        self.on_message_begin()

    def receive_data(self, data: bytes, at_ns: int) -> list[Request]:
        """The requests that ``data``, which arrived at ``at_ns``, made whole."""
        self._at_ns = at_ns
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The offer to speak another protocol is not taken up (RFC 9110, 7.8). The parser
            # cannot read on, so this request is the connection's last.
            self._done[-1:] = [replace(self._done[-1], keep_alive=False)]
        except httptools.HttpParserError as error:
            # A bound that was broken is the reason of the parser's own complaint.
            self.problem = self.problem or BadRequest(400, f"malformed request: {error}"[:200])
        done, self._done = self._done, []
        if not self._in_body and self.problem is None:
            # What a read brings behind a whole request is less than one read, and not counted.
            self._head_bytes = 0 if done else self._head_bytes + len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.problem = _head_too_large()
        return done

    def close(self) -> None:
        """Let go of the parser, which otherwise keeps this object alive in a cycle."""
        del self._parser

    def take_continue(self) -> bool:
        """Whether the client now waits for ``100 Continue`` before it sends a body; once."""
        wanted, self._continue = self._continue and self._in_body and not self._body, False
        return wanted

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._in_body, self._continue, self._head_bytes = False, False, 0

    def on_url(self, url: bytes) -> None:
        """Called by the parser, with a piece of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        size = len(self._target) + sum(len(name) + len(value) for name, value in self._headers)
        if size > MAX_HEAD_BYTES:
            self.problem = _head_too_large()
            raise _StopParsing
        self._in_body = True
        expect = next((value for name, value in self._headers if name == "expect"), "")
        self._continue = expect.lower() == "100-continue"

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if len(self._body) + len(data) > MAX_BODY_BYTES:
            self.problem = BadRequest(413, f"the request body is over {MAX_BODY_BYTES} bytes")
            raise _StopParsing
        self._body += data

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._in_body = False
        self._done.append(
            Request(
                self._parser.get_method().decode("latin-1"),
                self._target.decode("latin-1"),
                self._parser.get_http_version(),
                tuple(self._headers),
                bytes(self._body),
                bool(self._parser.should_keep_alive()),
                self._at_ns,
            )
        )


class _StopParsing(Exception):
    """Leaves the parser. Not the problem itself, whose traceback would tie a reader in a cycle."""


def _head_too_large() -> BadRequest:
    return BadRequest(431, f"the request head is over {MAX_HEAD_BYTES} bytes")


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a response head."""
    phrase = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def merged(
    defaults: Iterable[tuple[str, str]], given: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """``defaults`` with those replaced whose name is among the ``given``."""
    given = list(given)
    replaced = {name.lower() for name, _ in given}
    return [pair for pair in defaults if pair[0].lower() not in replaced] + given


class Date:
    """The value of the Date header, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, now_ns: int) -> str:
        """The date at ``now_ns``, CLOCK_REALTIME."""
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text
