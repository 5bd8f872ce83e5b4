"""Interfaces between the parts of the gateway: the relay moves bytes, a router decides, an observer
counts. This module contains data types and protocols only.

All times are seconds of ``time.monotonic``. The relay reads the clock once per event and passes the
time on. All calls come from the thread of the event loop and must return at once.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from undam.apis import Api
from undam.http1.headers import RawHeaders


@dataclass(frozen=True, slots=True)
class Upstream:
    """One model server. Equal upstreams share their idle connections.

    Args:
        name: shown in logs and metrics.
        base_path: prepended to the path of every request; no trailing slash.
        tls: context for TLS; ``None`` for plain text.
        max_idle: idle connections kept for the next request.
        idle_s: how long a connection may be idle. Most servers close idle connections after 60 s,
            so this must be lower.
    """

    name: str
    host: str
    port: int
    base_path: str = ""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    max_idle: int = 512
    idle_s: float = 30.0
    connect_timeout_s: float = 5.0

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self.tls is None else "https"

    @property
    def authority(self) -> str:
        """Value of the Host header; the default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (80 if self.tls is None else 443) else f"{host}:{self.port}"


@dataclass(slots=True)
class RequestInfo:
    """The properties of a request that decisions depend on.

    Args:
        target: path and query as sent by the client; never an absolute URL.
        headers: without hop-by-hop headers. After the first content only the tracing headers
            remain, to save memory while a long stream runs.
        api: the API of this path; ``PLAIN`` if the path is not a known model API.
        streams: the body requests a stream from that API.
        model: the model named in the body; "" if the path is not a model API.
        repeatable: sending the request twice is harmless. True for safe methods, for requests of a
            model API without ``store`` and ``background``, and with an Idempotency-Key header.
        body_bytes: size of the body, or of the part read before the decision.
        request_id: the X-Request-Id of the client if it is well-formed, else a generated one.
        client: address of the client.
        key_name: name of the API key in use; set by ``Router.admit``.
    """

    method: str
    target: str
    headers: RawHeaders
    api: Api
    streams: bool
    model: str
    repeatable: bool
    body_bytes: int
    request_id: str
    client: str
    key_name: str = ""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a header (``name`` in lower case), or ``None``."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class UpstreamResult(StrEnum):
    """Result of one request at one upstream."""

    OK = "ok"
    """A complete response with any status except those of `STATUS`."""
    REFUSED = "refused"
    """No connection."""
    TIMEOUT = "timeout"
    """No connection, no content or no further data within the limit."""
    STATUS = "status"
    """The status was 502, 503 or 504."""
    DIED = "died"
    """The connection broke, or the response was not valid HTTP."""
    CANCELLED = "cancelled"
    """Ended by the gateway: the client left, or another upstream answered first. Not the
    upstream's fault."""


class EndReason(StrEnum):
    """Why a request ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """The upstream closed the stream properly, but without the end marker of its API."""
    CLIENT_LEFT = "client-left"
    CLIENT_FROZEN = "client-frozen"
    UPSTREAM_REFUSED = "upstream-refused"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    """No content within the limit."""
    UPSTREAM_SILENT = "upstream-silent"
    """No data for the idle timeout, after the first content."""
    UPSTREAM_DIED = "upstream-died"
    UPSTREAM_ERROR = "upstream-error"
    """The error status came after heartbeats and was sent as an event."""
    NO_UPSTREAM = "no-upstream"
    REFUSED = "refused"
    """Refused by admission control, or not supported (an upgrade)."""
    BAD_REQUEST = "bad-request"
    LOCAL = "local"
    """Answered by the gateway itself."""
    SHUTDOWN = "shutdown"


AttemptKind = Literal["first", "retry", "hedge"]


@dataclass(slots=True, eq=False)
class RequestRecord:
    """Record of one request, filled in while the request runs and read by an observer.

    Args:
        request: ``None`` if the request could not be parsed.
        reads: reads of an event stream from its first content on; each is one write to the client.
        upstream: the upstream whose response the client gets; before that is known, the last one
            the request was sent to.
        status: status sent to the client; 0 if none was sent.
        bytes_out: bytes sent to the client, heads and heartbeats included.
        hedged: "sent" if a second request was sent, then "won" or "lost" for the second request.
        detail: one line about the end, without parts of the prompt or of a key.
        tracing: headers that replace those of the same names towards upstreams; filled in by
            ``Observer.request_started``.
        observed: state of the observer.
    """

    request: RequestInfo | None
    started_at: float
    upstream: Upstream | None = None
    status: int = 0
    content_at: float | None = None
    ended_at: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    reads: int = 0
    heartbeats: int = 0
    retries: int = 0
    hedged: Literal["", "sent", "won", "lost"] = ""
    end_reason: EndReason | None = None
    detail: str = ""
    tracing: RawHeaders = field(default_factory=list)
    observed: object = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not admitted. The client gets it in the form of its API.

    Args:
        kind: error type as the APIs name it, for instance ``rate_limit_error``.
        retry_after_s: value for Retry-After, which is rounded up.
    """

    status: int
    message: str
    kind: str
    retry_after_s: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Permit(Protocol):
    """Permission to run one request."""

    def release(self) -> None:
        """Give the permit back; called once, when the request is over."""
        ...


@dataclass(frozen=True, slots=True)
class LocalResponse:
    """A response of the gateway itself."""

    status: int
    content_type: bytes
    body: bytes


class Router(Protocol):
    """Decides where requests go.

    The router may be replaced at any time. A request keeps the router it started with, so that
    `attempt_started` and `attempt_ended` reach the router that chose the upstream.
    """

    def local_response(
        self, request: RequestInfo
    ) -> LocalResponse | Awaitable[LocalResponse] | None:
        """Return the gateway's own response (for paths under ``/-/``), or ``None`` to forward."""
        ...

    def admit(self, request: RequestInfo) -> Permit | Refusal | Awaitable[Permit | Refusal]:
        """Admit the request, at once or after a wait in a queue.

        This may change ``request.headers`` (the client's key is removed, the upstream's is added),
        so the forwarded head is built afterwards. If the client leaves during the wait, the
        awaitable is cancelled; a permit that was already granted must then be released by it.
        """
        ...

    def choose(self, request: RequestInfo, tried: Collection[Upstream]) -> Upstream | None:
        """Return an upstream that is not in ``tried``, or ``None`` if there is none.

        Nothing is reserved. The call may only serve to find out whether there is another upstream.
        """
        ...

    def attempt_started(self, upstream: Upstream, request: RequestInfo) -> None:
        """Record that the request was sent to ``upstream``, or waits for a connection to it."""
        ...

    def attempt_ended(
        self, upstream: Upstream, request: RequestInfo, result: UpstreamResult
    ) -> None:
        """Record the result at ``upstream``; called once for each `attempt_started`."""
        ...

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """Return after how long without content to hedge; ``None`` for never.

        Called once for each request that streams and is repeatable.
        """
        ...

    def may_hedge(self, request: RequestInfo) -> bool:
        """Return whether budget and load allow a hedge now; if so, `choose` is called next."""
        ...

    def first_content_received(
        self, upstream: Upstream, request: RequestInfo, ttft_s: float
    ) -> None:
        """Record that the first content came ``ttft_s`` after the request went to ``upstream``."""
        ...


class Observer(Protocol):
    """Receives the events of requests. Times and counts are in the record."""

    def request_started(self, record: RequestRecord) -> None:
        """Handle a request that was read completely, or its head if its body is streamed."""
        ...

    def attempt_sent(self, record: RequestRecord, upstream: Upstream, kind: AttemptKind) -> None:
        """Handle an attempt at ``upstream``.

        The first attempt is reported a few milliseconds late, but before any other event.
        """
        ...

    def hedge_denied(self, record: RequestRecord) -> None:
        """Handle a hedge that was due, but not possible: budget, load, or no other upstream."""
        ...

    def first_content(self, record: RequestRecord) -> None:
        """Handle the first content; ``record.content_at`` and ``record.upstream`` are final."""
        ...

    def gaps(self, record: RequestRecord, gaps: Sequence[float]) -> None:
        """Handle the seconds between reads of a stream, from the first content on.

        They are reported in batches of more than a hundred and at the end, so that nothing is
        called per token. The observer may keep the sequence.
        """
        ...

    def heartbeat(self, record: RequestRecord) -> None:
        """Handle a comment that was sent to the client."""
        ...

    def upstream_failed(
        self, record: RequestRecord, upstream: Upstream, result: UpstreamResult
    ) -> None:
        """Handle the failure of an upstream, whether or not it affects the client."""
        ...

    def request_ended(self, record: RequestRecord) -> None:
        """Handle the end of the request. This is the last call for it, and is always made."""
        ...
