"""What the parts of the gateway know of each other: the relay moves bytes, a router decides, an
observer counts. Nothing here does anything.

Every moment is in seconds of ``time.monotonic``, taken once by the relay; nobody reads the clock
again. All calls come from the one thread of the event loop and must return at once.
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
    """One model server. Two that are equal share their idle connections.

    Args:
        name: what logs and metrics call it.
        base_path: goes before the path of every request; without a slash at its end.
        tls: how to speak TLS to it; ``None`` for plain text.
        max_idle: connections kept open for the next request.
        idle_s: how long one is kept; below the 60 s after which most servers hang up.
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
        """What its Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (80 if self.tls is None else 443) else f"{host}:{self.port}"


@dataclass(slots=True)
class RequestInfo:
    """One request, as far as a decision may depend on it.

    Args:
        target: path and query, as the client sent them (never a whole URL).
        headers: without those that concern only the client's connection; from the first content on
            only those of tracing, as a stream may last.
        api: by the path; ``PLAIN`` for one that is no model API's.
        streams: the body asks that API for a stream.
        model: what the body names, of an API's request; "" else.
        repeatable: sending it twice does no harm: by its method, or a model API's request without
            ``store`` and ``background``, or one with an Idempotency-Key.
        body_bytes: of the body, as far as it was read before the decision.
        request_id: the client's X-Request-Id if it is a sound one, else one made here.
        client: the address of the client's end.
        key_name: which of the gateway's keys it came with; set by ``Router.admit``.
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
        """The first value of a header (name in lower case), or ``None``."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class UpstreamResult(StrEnum):
    """How one upstream did with one request."""

    OK = "ok"
    """A whole answer, of any status but those of `STATUS`."""
    REFUSED = "refused"
    """No connection."""
    TIMEOUT = "timeout"
    """No connection, no content or no further byte in the time allowed."""
    STATUS = "status"
    """It answered 502, 503 or 504."""
    DIED = "died"
    """The connection broke, or what came was no HTTP."""
    CANCELLED = "cancelled"
    """Ended from this side: the client left, or another upstream was first. No fault of its."""


class EndReason(StrEnum):
    """Why a record ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """The upstream ended a stream in good order and did not say that the answer is complete."""
    CLIENT_LEFT = "client-left"
    CLIENT_FROZEN = "client-frozen"
    UPSTREAM_REFUSED = "upstream-refused"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    """No content in the time allowed."""
    UPSTREAM_SILENT = "upstream-silent"
    """No byte for the idle timeout, after the first content."""
    UPSTREAM_DIED = "upstream-died"
    UPSTREAM_ERROR = "upstream-error"
    """Its error status came after heartbeats and was told as an event."""
    NO_UPSTREAM = "no-upstream"
    REFUSED = "refused"
    """By admission, or because the request cannot be served here (an upgrade)."""
    BAD_REQUEST = "bad-request"
    LOCAL = "local"
    """Answered by the gateway itself."""
    SHUTDOWN = "shutdown"


AttemptKind = Literal["first", "retry", "hedge"]


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request on its way through, filled in as it goes; an observer reads it.

    Args:
        request: ``None`` where the request could not be read.
        reads: those of an event stream from its first content on, each one write to the client.
        upstream: the one whose answer the client got or gets; before that, the last one asked.
        status: what the client was told; 0 while nothing, or if it left before.
        bytes_out: towards the client, heads and heartbeats included.
        hedged: "lost" if the second request was sent and the first won, "won" if the second did.
        detail: of the end_reason, one line without anything of the prompt or a key.
        tracing: headers that replace those of the same names towards upstreams; for
            ``Observer.began`` to fill.
        observed: whatever the observer keeps of it.
    """

    request: RequestInfo | None
    began_at: float
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
    """A request that is not let in: told in the API's own form.

    Args:
        kind: the error's type as the APIs name it, e.g. ``rate_limit_error``.
        retry_after_s: becomes Retry-After, rounded up.
    """

    status: int
    message: str
    kind: str
    retry_after_s: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Permit(Protocol):
    """A request that was let in."""

    def release(self) -> None:
        """It is over; called once."""
        ...


@dataclass(frozen=True, slots=True)
class LocalResponse:
    """An answer of the gateway's own."""

    status: int
    content_type: bytes
    body: bytes


class Router(Protocol):
    """Decides where requests go. Read anew for each request, so it may be replaced at any time;
    what `choose` gave is told to the same router's `began` and `ended`."""

    def page(self, request: RequestInfo) -> LocalResponse | Awaitable[LocalResponse] | None:
        """The gateway's own answer (all paths under ``/-/``); ``None``: it goes to an upstream."""
        ...

    def admit(self, request: RequestInfo) -> Permit | Refusal | Awaitable[Permit | Refusal]:
        """Let it in, now or after a wait in the queue.

        It may change ``request.headers`` (the client's key goes, the upstream's comes), so the head
        towards upstreams is made after it. What waits is a future: if the client leaves it is
        cancelled, and a permit that it already has is released.
        """
        ...

    def choose(self, request: RequestInfo, tried: Collection[Upstream]) -> Upstream | None:
        """Where to send it, none of ``tried``; ``None`` if there is nowhere (left).

        Nothing is reserved: it is also asked only to learn whether there is another one.
        """
        ...

    def began(self, upstream: Upstream, request: RequestInfo) -> None:
        """It was sent there, or waits for a connection."""
        ...

    def ended(self, upstream: Upstream, request: RequestInfo, result: UpstreamResult) -> None:
        """It is over there; once for each `began`."""
        ...

    def hedge_after_s(self, request: RequestInfo) -> float | None:
        """After how long without content a second upstream may be asked; ``None``: never.

        Asked once for each request that is repeatable and streams.
        """
        ...

    def may_hedge(self, request: RequestInfo) -> bool:
        """Whether budget and load allow it right now; a yes is followed by `choose`."""
        ...

    def saw_first_content(self, upstream: Upstream, request: RequestInfo, ttft_s: float) -> None:
        """``upstream`` gave its first content ``ttft_s`` after it was asked."""
        ...


class Observer(Protocol):
    """Is told what happens; moments and counts stand in the record."""

    def began(self, record: RequestRecord) -> None:
        """A whole request was read, or its head where the body is passed on as it comes."""
        ...

    def sent(self, record: RequestRecord, upstream: Upstream, why: AttemptKind) -> None:
        """It goes to ``upstream``; of the first one it is told some ms later, but before anything
        else is told of it."""
        ...

    def hedge_denied(self, record: RequestRecord) -> None:
        """It was time to hedge, but budget, load or the number of upstreams did not allow it."""
        ...

    def first_content(self, record: RequestRecord) -> None:
        """``record.content_at`` is known, and ``upstream`` is the one that won."""
        ...

    def gaps(self, record: RequestRecord, gaps: Sequence[float]) -> None:
        """The seconds between the reads that brought bytes of a stream, from the first content on.

        Some hundred at a time and at the end, so that nothing is called per token. The list is
        the observer's to keep.
        """
        ...

    def heartbeat(self, record: RequestRecord) -> None:
        """A comment went to the client."""
        ...

    def upstream_failed(
        self, record: RequestRecord, upstream: Upstream, result: UpstreamResult
    ) -> None:
        """An upstream failed, whether or not the client learns of it."""
        ...

    def ended(self, record: RequestRecord) -> None:
        """It is over; ``record.end_reason`` says why. The last call for it, and always made."""
        ...
