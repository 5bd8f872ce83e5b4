"""One request and its response as data, which is the input for every analysis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from undam.timing import Arrival


class Ending(StrEnum):
    """Ways in which a response body can end."""

    COMPLETE = "complete"
    """The framing marked the end: last chunk, or Content-Length reached."""
    CLOSED = "closed"
    """A close-delimited body ended with an orderly close, the only end its framing has."""
    TRUNCATED = "truncated"
    """The connection closed in an orderly way before the end that the framing requires."""
    RESET = "reset"
    """The connection was reset."""
    TIMEOUT = "timeout"
    """The client's time limit was reached; the stream was still open."""
    LIMIT = "limit"
    """The client's size limit was reached; the stream was still open."""
    BROKEN = "broken"
    """The body violated HTTP or its content coding."""


@dataclass(frozen=True, slots=True)
class Head:
    """Response head. Header names keep the case in which they were sent."""

    status: int
    http_version: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or ``None``."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, in the order in which they were sent."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Time at which each step of an exchange was completed, in ns (CLOCK_REALTIME).

    A step that was not needed is ``None``.

    Attributes:
        start_ns: before the DNS lookup.
        sent_ns: when the whole request had been passed to the kernel.
        head_ns: arrival of the read that completed the response head.
    """

    start_ns: int
    dns_ns: int | None = None
    connect_ns: int | None = None
    proxy_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    head_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Facts:
    """Observations on an HTTP/2 connection, in addition to the response.

    Args:
        reset: error code of the server's RST_STREAM; ``None`` without one.
        goaway: error code of the server's GOAWAY; ``None`` without one.
        send_stall_ns: how long the request body waited for the server's flow-control window.
    """

    reset: str | None = None
    goaway: str | None = None
    send_stall_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Finished exchange, whether its response is complete or not.

    Args:
        hop: the user's name for the server that received the request.
        api: name of the API (see ``undam.apis``) that was requested.
        clock: "kernel" if every read has the kernel's receive timestamp, otherwise "user".
        step_ns: change of CLOCK_REALTIME relative to CLOCK_MONOTONIC during the exchange.
        error: one line about an end that was not orderly.
        proxy: forward proxy that the request went through, without credentials, and the variable
            that set it; ``None`` for a direct request.
        tls_issuer: issuer of the server's certificate; ``None`` without TLS.
        tls_expires_s: Unix time at which that certificate expires; ``None`` without TLS.
    """

    hop: str
    url: str
    api: str
    stamps: Stamps
    head: Head | None
    arrivals: tuple[Arrival, ...]
    ending: Ending
    ended_ns: int
    clock: str = "kernel"
    step_ns: int = 0
    error: str | None = None
    http2: Http2Facts | None = None
    proxy: str | None = None
    tls_issuer: str | None = None
    tls_expires_s: int | None = None
