"""HTTP/1.1 for the simulator: request parser and formatting of response heads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl

from undam.http1.request_parser import BadRequest, RequestHead, RequestParser

MAX_HEAD_BYTES = 32 << 10
"""Maximum size of a request head. nginx allows 32 KB, Apache 8 KB per line, Node.js 16 KB."""

MAX_BODY_BYTES = 4 << 20
"""Maximum size of a request body: a million tokens. Parsing it blocks all streams for 30 ms."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One complete request.

    Args:
        headers: names in lower case.
        arrived_ns: arrival of the last byte at this machine (CLOCK_REALTIME).
    """

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool
    arrived_ns: int

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or ``None``; ``name`` is in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> str:
        """The request target without its query."""
        return self.target.partition("?")[0]

    def query(self) -> list[tuple[str, str]]:
        """Return the query's name-value pairs in order; raise BadRequest if there are too many."""
        try:
            return parse_qsl(self.target.partition("?")[2], max_num_fields=50)
        except ValueError:
            raise BadRequest(400, "the query has too many fields") from None


class RequestReader:
    """Request parser that accepts reads of any size.

    A read that breaks the protocol or a limit sets ``problem``. The requests that were complete
    before it are still returned. No data may follow.
    """

    def __init__(self) -> None:
        self.problem: BadRequest | None = None
        self._parser = RequestParser(MAX_HEAD_BYTES, MAX_BODY_BYTES)
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._expects_continue = False

    def receive_data(self, data: bytes, at_ns: int) -> list[HttpRequest]:
        """Return the requests that are completed by ``data``, which arrived at ``at_ns``."""
        self._parser.receive_data(data)
        requests: list[HttpRequest] = []
        try:
            while (request := self._next_request(at_ns)) is not None:
                requests.append(request)
        except BadRequest as error:
            # A copy of the error is raised, because its traceback refers to this object and would
            # create a reference cycle.
            self.problem = BadRequest(error.status, str(error))
        return requests

    def take_continue(self) -> bool:
        """Return whether the client is waiting for ``100 Continue``; at most once per request."""
        wanted = self._expects_continue and self._head is not None and not any(self._body)
        self._expects_continue = False
        return wanted

    def _next_request(self, at_ns: int) -> HttpRequest | None:
        if self._head is None:
            self._head = self._parser.head()
            if self._head is None:
                return None
            self._expects_continue = self._head.expects_continue
        piece, complete = self._parser.body()
        self._body.append(piece)
        if not complete:
            return None
        head, body = self._head, b"".join(self._body)
        self._head, self._body = None, []
        return _request(head, body, at_ns)


def _request(head: RequestHead, body: bytes, at_ns: int) -> HttpRequest:
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in head.headers
    )
    keep_alive = head.keep_alive
    if head.minor == 0:
        keep_alive = ("connection", "keep-alive") in (
            (name, text.lower()) for name, text in headers
        )
    return HttpRequest(
        head.method, head.target, f"1.{head.minor}", headers, body, keep_alive, at_ns
    )


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return an encoded response head."""
    phrase = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def merge_headers(
    defaults: Iterable[tuple[str, str]], given: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return ``defaults`` and the ``given`` headers, which replace defaults of the same name."""
    given = list(given)
    replaced = {name.lower() for name, _ in given}
    return [pair for pair in defaults if pair[0].lower() not in replaced] + given


class Date:
    """Value of the Date header, which is formatted once per second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, now_ns: int) -> str:
        """Return the value of the Date header at ``now_ns`` (CLOCK_REALTIME)."""
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text
