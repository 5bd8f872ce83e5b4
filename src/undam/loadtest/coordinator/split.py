"""Split a load into one job per worker. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from undam.apis import PLAIN
from undam.loadtest.protocol import (
    ClosedLoop,
    Http2Settings,
    Job,
    OpenLoop,
    ScheduledRequest,
    Tls,
)
from undam.loadtest.setup.plan import Load, WorkerShare, session_share, split_load
from undam.loadtest.setup.unique import mark_position
from undam.wire import ClientConfig, Request, Target
from undam.wire.request import encode_request, http2_fields

# More requests than this are rarely due before the first response frees a connection.
_MAX_CONNECTIONS_AHEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTarget:
    """Job settings for one of several URLs in a load test.

    Args:
        addresses, requests, tls, http2: as in ``JobTemplate``.
    """

    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    requests: tuple[bytes, ...] = field(repr=False)
    tls: Tls | None = None
    http2: Http2Settings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    """Fields that the jobs of all workers have in common.

    Args:
        addresses: (family, sockaddr) pairs, best first.
        requests: as in ``Job``; they contain secrets.
        api: name of one of ``undam.apis``.
        timeout_s, content_path, tls, http2, cancel_ns, streams: as in ``Job``.
        sessions, pauses_ns: as in ``ClosedLoop``, for all workers together.
        more_targets: further URLs; each worker sends to one of the URLs.
    """

    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    requests: tuple[bytes, ...] = field(repr=False)
    api: str
    timeout_s: float
    content_path: str | None = None
    tls: Tls | None = None
    http2: Http2Settings | None = None
    cancel_ns: tuple[int, ...] = ()
    streams: bool = True
    sessions: tuple[tuple[int, int], ...] = ()
    pauses_ns: tuple[int, ...] = ()
    more_targets: tuple[JobTarget, ...] = ()

    def for_worker(self, worker: int) -> JobTemplate:
        """Return the template with the URL that is assigned to ``worker``."""
        index = worker % (1 + len(self.more_targets))
        if index == 0:
            return self
        one = self.more_targets[index - 1]
        return replace(
            self, addresses=one.addresses, requests=one.requests, tls=one.tls, http2=one.http2
        )


def encode_requests(request: Request, target: Target, bodies: Sequence[bytes]) -> tuple[bytes, ...]:
    """Encode ``request`` once for each body, or once unchanged if there are no bodies.

    Raises:
        LocalProtocolError: the request cannot be sent over HTTP.
    """
    request = _without_compression(request)
    return tuple(
        encode_request(replace(request, body=body), target) for body in bodies or [request.body]
    )


def http2_settings(request: Request, target: Target, streams: int) -> Http2Settings:
    """Return HTTP/2 settings that contain the header fields of ``request``.

    Args:
        streams: maximum number of open streams per connection.

    Raises:
        LocalProtocolError: the request cannot be sent over HTTP.
    """
    request = _without_compression(replace(request, body=b""))
    fields = http2_fields(request, target)
    kept = tuple((name, value) for name, value in fields if name != b"content-length")
    return Http2Settings(fields=kept, streams=streams)


def _without_compression(request: Request) -> Request:
    """Accept no compression unless the user set Accept-Encoding.

    Compression would batch tokens, and `undam check` is the command that tests for it.
    """
    if any(name.lower() == "accept-encoding" for name, _ in request.headers):
        return request
    return replace(request, headers=(*request.headers, ("Accept-Encoding", "identity")))


def tls_for(target: Target, config: ClientConfig) -> Tls | None:
    """Return the TLS settings for ``target``, or ``None`` for an http URL."""
    if target.scheme != "https":
        return None
    return Tls(
        server_name=target.name,
        cacert=config.cacert,
        cert=config.cert,
        insecure=config.insecure,
    )


def make_jobs(load: Load, workers: int, template: JobTemplate, run: int = 0) -> tuple[Job, ...]:
    """Return one job per worker; each worker waits for a ``Start`` before it begins.

    Args:
        run: number of the run, which makes its prompts differ from those of other runs.

    Raises:
        UsageError: the load cannot be planned.
    """
    shares = split_load(load, workers)
    firsts = [sum(share.total or 0 for share in shares[:worker]) for worker in range(workers)]
    return tuple(
        _make_job(load, share, firsts[share.worker], template.for_worker(share.worker), run)
        for share in shares
    )


def _make_job(load: Load, share: WorkerShare, first: int, template: JobTemplate, run: int) -> Job:
    return Job(
        worker=share.worker,
        addresses=template.addresses,
        requests=template.requests,
        marks=tuple(map(mark_position, template.requests)),
        run=run,
        api=template.api if template.streams else PLAIN.name,
        load=_open_loop(share, load, len(template.requests))
        if load.is_open
        else _closed_loop(share, load, first, template),
        timeout_s=template.timeout_s,
        content_path=template.content_path,
        tls=template.tls,
        http2=template.http2,
        cancel_ns=template.cancel_ns,
        streams=template.streams,
    )


def _open_loop(share: WorkerShare, load: Load, requests: int) -> OpenLoop:
    warmup = load.warmup
    plan = tuple(
        ScheduledRequest(number, offset_ns, number % requests, number < warmup)
        for number, offset_ns in zip(share.numbers, share.offsets_ns, strict=True)
    )
    most = None
    if load.max_concurrency is not None:
        most = max(1, len(range(share.worker, load.max_concurrency, share.workers)))
    ahead = min(len(plan), _MAX_CONNECTIONS_AHEAD, most or _MAX_CONNECTIONS_AHEAD)
    return OpenLoop(plan=plan, ahead=ahead, most=most)


def _closed_loop(share: WorkerShare, load: Load, first: int, template: JobTemplate) -> ClosedLoop:
    """Give the worker request numbers that no other worker uses.

    With a known total, they are a contiguous range; otherwise every ``workers``-th number.
    """
    endless = share.total is None
    stride = share.workers if endless else 1
    first = share.worker if endless else first
    return ClosedLoop(
        slots=share.offsets_ns,
        count=share.total,
        duration_ns=None if load.duration_s is None else round(load.duration_s * 1e9),
        first=first,
        stride=stride,
        warmup=share.warmup,
        sessions=session_share(template.sessions, share.worker, share.workers),
        pauses_ns=template.pauses_ns,
    )
