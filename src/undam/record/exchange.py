"""One request and what came back, as data. Everything above the wire judges these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from undam.timing import Arrival


class Ending(StrEnum):
    """How the response body stopped."""

    COMPLETE = "complete"
    """The framing said so: last chunk, or Content-Length reached."""
    CLOSED = "closed"
    """A close-delimited body ended with an orderly close: the framing cannot tell more."""
    TRUNCATED = "truncated"
    """The connection closed in an orderly way before the framing's end."""
    RESET = "reset"
    """The connection was reset."""
    TIMEOUT = "timeout"
    """Our own time limit; the stream was still open."""
    LIMIT = "limit"
    """Our own size limit; the stream was still open."""
    BROKEN = "broken"
    """The peer broke HTTP or the content coding in mid-body."""


@dataclass(frozen=True, slots=True)
class Head:
    """A response head. Names keep the case in which they were sent."""

    status: int
    http_version: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The first value of a header, or ``None``."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in the order sent."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """When each step of the exchange was done, CLOCK_REALTIME ns; ``None`` where it was not taken.

    ``start_ns`` is before the name look-up, ``sent_ns`` when the whole request was handed to the
    kernel, ``head_ns`` the arrival of the read that completed the response head.
    """

    start_ns: int
    dns_ns: int | None = None
    connect_ns: int | None = None
    proxy_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    head_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A finished exchange, whatever its end.

    Args:
        hop: the user's name for the place that was asked.
        api: name of the API in undam.apis whose streaming form was asked for.
        clock: "kernel" when every read carried the kernel's receive stamp, else "user".
        step_ns: how far CLOCK_REALTIME moved against CLOCK_MONOTONIC in the meantime.
        error: one line about an ending that was not orderly.
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
