"""Interfaces between the relay, the router and the observer of the gateway.

The relay transfers bytes, the router makes decisions, and the observer records metrics and logs.
This module contains only data types and protocols.

All times are in seconds of ``time.monotonic``. The relay reads the clock once per event and passes
the time to all calls. Every call is made in the thread of the event loop and must not block.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Literal, Protocol

from undam.apis import Api
from undam.http1.headers import RawHeaders

_VERSION = re.compile(r"/v[0-9][0-9a-z]{0,15}\Z")
# Gemini and DeepInfra have base URLs such as /v1beta/openai, without a further version.
_VERSIONED_BASE = re.compile(r"/v[0-9][0-9a-z]{0,15}(?:/openai)?\Z")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A model server. Equal upstreams share their idle connections.

    Args:
        name: name for logs and metrics.
        base_path: path to prepend to the path of every request, without a trailing slash.
        tls: TLS context; ``None`` for plain text.
        max_idle: maximum number of idle connections to keep.
        idle_s: maximum time in seconds for which a connection may be idle. It must be below 60 s,
            after which most servers close idle connections.
        address: IP address to connect to; "" if ``host`` is resolved for each connection.
        unix_path: path of the Unix socket to connect to instead.
        max_streams: maximum number of concurrent streams per worker; 0 means no limit.
        models: the models that it serves; empty if it serves all.
        priority: upstreams with a higher number are used only if no other one is available.
    """

    name: str
    host: str
    port: int
    base_path: str = ""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    max_idle: int = 512
    idle_s: float = 30.0
    connect_timeout_s: float = 5.0
    address: str = ""
    unix_path: str = ""
    max_streams: int = field(default=0, compare=False)
    models: frozenset[str] = field(default=frozenset(), compare=False)
    priority: int = field(default=0, compare=False)

    def path_of(self, target: str) -> str:
        """Return the path and query of a request to this upstream.

        The URL of an upstream is often given with the version of its API, as for a client library,
        while clients of the gateway send the version in the path. A version that ends the base
        path and begins the target is sent only once. If the base path ends with another version,
        ``/v1`` is dropped as well, because clients that use OpenAI's API always send it.
        """
        for version in (self.version, "/v1" if _VERSIONED_BASE.search(self.base_path) else ""):
            if version and target.startswith(version):
                rest = target[len(version) :]
                if rest[:1] in ("", "/", "?"):
                    return self.base_path + rest
        return self.base_path + target

    @property
    def version(self) -> str:
        """The last segment of the base path if it is an API version, such as ``/v1``."""
        found = _VERSION.search(self.base_path)
        return "" if found is None else found[0]

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self.tls is None else "https"

    @property
    def authority(self) -> str:
        """Value for the Host header, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (80 if self.tls is None else 443) else f"{host}:{self.port}"


@dataclass(slots=True)
class RequestInfo:
    """Request properties that the router's decisions depend on.

    Args:
        target: path and query as sent by the client; never an absolute URL.
        headers: headers without hop-by-hop headers. After the first content, only the tracing
            headers remain, to save memory during a long stream.
        api: the API of this path; ``PLAIN`` if the path does not belong to a known model API.
        streams: the body requests a stream.
        model: the model in the body; "" if the path does not belong to a model API.
        repeatable: the request can be sent twice without harm. This applies to safe methods, to
            requests that only compute a response, without ``store``, ``background`` or
            ``conversation``, and to requests with an Idempotency-Key header.
        body_bytes: size of the body according to the head; ``None`` if it is chunked.
        request_id: the client's X-Request-Id if it is well-formed, otherwise a generated ID.
        client: address of the client.
        peer: address of the other end of the connection if a trusted proxy has sent the request.
        key_name: name of the API key in use; set by ``Router.admit``.
        user: ``user`` in the body.
        cache_key: ``prompt_cache_key`` in the body, or else ``conversation``.
        prefix_hash: checksum of the first messages of the conversation; 0 if there are none.
        model_span: start and end of the value of ``model`` in the body, if it can be replaced.

    Members of the body are empty until the body was read.
    """

    method: str
    target: str
    headers: RawHeaders
    api: Api
    streams: bool
    model: str
    repeatable: bool
    body_bytes: int | None
    request_id: str
    client: str
    key_name: str = ""
    user: str = ""
    cache_key: str = ""
    prefix_hash: int = 0
    model_span: tuple[int, int] | None = None
    peer: str = ""

    @property
    def path(self) -> str:
        """Path of the request target, without the query."""
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
    """The response was complete, and its status is not one of `RequestLimits.failure_statuses`."""
    REFUSED = "refused"
    """No connection."""
    TIMEOUT = "timeout"
    """There was no connection, no content or no further data within the time limit."""
    STATUS = "status"
    """The status is one of `RequestLimits.failure_statuses`."""
    DIED = "died"
    """The connection broke, or the response was not valid HTTP."""
    CANCELLED = "cancelled"
    """The gateway ended the request, because the client disconnected or another upstream responded
    first. This is not a fault of the upstream."""


class EndReason(StrEnum):
    """Reason why a request ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """The upstream closed the stream properly, but without the end marker of its API."""
    CLIENT_LEFT = "client-left"
    CLIENT_FROZEN = "client-frozen"
    UPSTREAM_REFUSED = "upstream-refused"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    """No content arrived within the time limit."""
    UPSTREAM_SILENT = "upstream-silent"
    """After the first content, no data arrived within the idle timeout."""
    UPSTREAM_DIED = "upstream-died"
    UPSTREAM_ERROR = "upstream-error"
    """An error status arrived after heartbeats had been sent, and was sent as an event."""
    NO_UPSTREAM = "no-upstream"
    REFUSED = "refused"
    """The request was refused by admission control, or is not supported (an upgrade)."""
    BAD_REQUEST = "bad-request"
    LOCAL = "local"
    """The gateway itself answered the request."""
    SHUTDOWN = "shutdown"


AttemptKind = Literal["first", "retry", "hedge"]


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """Summary of an attempt for the access log.

    Args:
        status: status of the response; 0 if no head arrived.
        duration_s: time since the request was sent or began to wait for a connection.
    """

    upstream: Upstream
    result: UpstreamResult
    status: int
    duration_s: float


@dataclass(slots=True, eq=False)
class RequestRecord:
    """Record of one request. It is filled in while the request runs and is read by an observer.

    Args:
        request: ``None`` if nothing is known about it. For a malformed request, only the parts that
            could be parsed are set.
        reads: number of reads of an event stream since its first content. Each read is one write to
            the client.
        upstream: the upstream whose response the client receives. Until this is decided, the last
            upstream to which the request was sent.
        status: status sent to the client; 0 if none was sent.
        bytes_out: bytes sent to the client, including heads and heartbeats.
        hedged: "sent" after a second request was sent, then its result, "won" or "lost".
        detail: one-line description of the end, without parts of the prompt or of a key.
        queued_s: time in the admission queue.
        attempts: the attempts that have ended, in order.
        tracing: headers for upstreams, which replace headers of the same name; filled in by
            ``Observer.request_started``.
        observed: private state of the observer.
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
    queued_s: float = 0.0
    attempts: list[EndedAttempt] = field(default_factory=list)
    tracing: RawHeaders = field(default_factory=list)
    observed: object = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Error response for a refused request, to be sent in the format of the client's API.

    Args:
        kind: error type in the API's terms, for instance ``rate_limit_error``.
        retry_after_s: value for Retry-After, which is rounded up.
    """

    status: int
    message: str
    kind: str
    retry_after_s: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def lines(self) -> bytes:
        """Return the additional header lines for the response."""
        lines = b"".join(b"%b: %b\r\n" % pair for pair in self.headers)
        if self.retry_after_s is not None:
            lines += b"Retry-After: %d\r\n" % max(1, ceil(self.retry_after_s))
        return lines


class Permit(Protocol):
    """Permission to run one request."""

    def release(self) -> None:
        """Release the permit; this is called once, when the request has ended."""
        ...


@dataclass(frozen=True, slots=True)
class LocalResponse:
    """A response that the gateway generates.

    Args:
        lines: further header lines, including their line breaks.
    """

    status: int
    content_type: bytes
    body: bytes
    lines: bytes = b""


class Router(Protocol):
    """Policy that decides which requests are admitted, and to which upstream each is sent.

    The router may be replaced at any time. A request keeps the router with which it started, so
    that the router that chose an upstream receives `attempt_started` and `attempt_ended`.
    """

    def local_response(
        self, request: RequestInfo
    ) -> LocalResponse | Awaitable[LocalResponse] | None:
        """Return the gateway's own response (for paths under ``/-/``), or ``None`` to forward."""
        ...

    def admit(self, request: RequestInfo) -> Permit | Refusal | Awaitable[Permit | Refusal]:
        """Admit the request, immediately or after a wait in a queue.

        This may change ``request.headers`` (the client's key is removed, and the upstream's key is
        added), so the forwarded head is built afterwards. If the client disconnects during the
        wait, the awaitable is cancelled. It must then release a permit that was already granted.
        """
        ...

    def respond(self, request: RequestInfo) -> LocalResponse | Refusal | None:
        """Return the gateway's response to an admitted request; ``None`` to forward the request.

        This is called when the body was read. It may replace an alias in ``request.model``.
        """
        ...

    def choose(self, request: RequestInfo, tried: Collection[Upstream]) -> Upstream | None:
        """Return an upstream that is not in ``tried``, or ``None`` if there is none.

        The upstream is not reserved. The caller may only check whether there is another upstream.
        """
        ...

    def attempt_started(self, upstream: Upstream, request: RequestInfo) -> None:
        """Record that the request was sent to ``upstream`` or waits for a connection to it."""
        ...

    def attempt_ended(
        self,
        upstream: Upstream,
        request: RequestInfo,
        result: UpstreamResult,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        """Record the result of an attempt at ``upstream``; called once for each `attempt_started`.

        Args:
            status: status of the response; 0 if no head arrived.
            retry_after_s: value of the Retry-After header.
        """
        ...

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """Return the time to wait for content before hedging; ``None`` for no hedging.

        This is called once for each repeatable request for a stream.
        """
        ...

    def may_hedge(self, request: RequestInfo) -> bool:
        """Return whether budget and load allow a hedge now. If so, `choose` is called next."""
        ...

    def first_content_received(
        self, upstream: Upstream, request: RequestInfo, ttft_s: float
    ) -> None:
        """Record that ``upstream`` sent the first content ``ttft_s`` seconds after the request."""
        ...


class Observer(Protocol):
    """Receiver of request events. Times and counts are in the request's record."""

    def request_started(self, record: RequestRecord) -> None:
        """Handle a request that was refused, or whose body is complete or being streamed."""
        ...

    def attempt_sent(self, record: RequestRecord, upstream: Upstream, kind: AttemptKind) -> None:
        """Handle an attempt that was sent to ``upstream``.

        The first attempt is reported a few milliseconds late, but before any other event.
        """
        ...

    def hedge_denied(self, record: RequestRecord) -> None:
        """Handle a hedge that was due but denied because of budget, load or a lack of upstreams."""
        ...

    def first_content(self, record: RequestRecord) -> None:
        """Handle the first content; ``record.content_at`` and ``record.upstream`` are final."""
        ...

    def gaps(self, record: RequestRecord, gaps: Sequence[float]) -> None:
        """Handle the gaps between reads of a stream since the first content, in seconds.

        To avoid a call per token, gaps are reported in batches of more than a hundred and at the
        end of the stream. The observer may keep the sequence.
        """
        ...

    def heartbeat(self, record: RequestRecord) -> None:
        """Handle a heartbeat comment that was sent to the client."""
        ...

    def upstream_failed(
        self, record: RequestRecord, upstream: Upstream, result: UpstreamResult
    ) -> None:
        """Handle the failure of an upstream, whether or not it affects the client."""
        ...

    def request_ended(self, record: RequestRecord) -> None:
        """Handle the end of the request. This is always the last call for a request."""
        ...
