"""From a load and what to ask to the job of each worker. Opens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from undam.loadtest.protocol import ClosedLoop, Job, OpenLoop, ScheduledRequest, Tls
from undam.loadtest.setup.plan import Load, WorkerShare, split_load
from undam.wire import ClientConfig, Request, Target
from undam.wire.request import encode_request

# More than these are hardly due at once before the first answers free a connection.
_MOST_AHEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    """What every worker of a test asks, and of whom.

    Args:
        addresses: (family, sockaddr), best first.
        requests: whole requests as they go over the wire; they hold secrets.
        api: name of one of ``undam.apis``.
        content_path: see ``Job``.
    """

    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    requests: tuple[bytes, ...] = field(repr=False)
    api: str
    timeout_s: float
    content_path: str | None = None
    tls: Tls | None = None


def encode_requests(request: Request, target: Target, bodies: Sequence[bytes]) -> tuple[bytes, ...]:
    """``request`` as bytes, once with each body; alone where there is none.

    Compression is not asked for: it would bundle tokens, and that is `undam check`'s matter.

    Raises:
        LocalProtocolError: HTTP cannot carry it.
    """
    if all(name.lower() != "accept-encoding" for name, _ in request.headers):
        request = replace(request, headers=(*request.headers, ("Accept-Encoding", "identity")))
    return tuple(
        encode_request(replace(request, body=body), target) for body in bodies or [request.body]
    )


def tls_for(target: Target, config: ClientConfig) -> Tls | None:
    """How to speak TLS to ``target``; ``None`` for http."""
    if target.scheme != "https":
        return None
    return Tls(
        server_name=target.name,
        cacert=config.cacert,
        cert=config.cert,
        insecure=config.insecure,
    )


def make_jobs(load: Load, workers: int, template: JobTemplate) -> tuple[Job, ...]:
    """One job a worker; each waits for a ``Start``.

    Raises:
        UsageError: the load cannot be planned.
    """
    shares = split_load(load, workers)
    firsts = [sum(share.total or 0 for share in shares[:worker]) for worker in range(workers)]
    return tuple(
        Job(
            worker=share.worker,
            addresses=template.addresses,
            requests=template.requests,
            api=template.api,
            load=_open(share, load.warmup, len(template.requests))
            if load.is_open
            else _closed(share, load, firsts[share.worker]),
            timeout_s=template.timeout_s,
            content_path=template.content_path,
            tls=template.tls,
        )
        for share in shares
    )


def _open(share: WorkerShare, warmup: int, requests: int) -> OpenLoop:
    plan = tuple(
        ScheduledRequest(number, offset_ns, number % requests, number < warmup)
        for number, offset_ns in zip(share.numbers, share.offsets_ns, strict=True)
    )
    return OpenLoop(plan=plan, ahead=min(len(plan), _MOST_AHEAD))


def _closed(share: WorkerShare, load: Load, first: int) -> ClosedLoop:
    """Its numbers: a range of its own, or every ``workers``-th where nobody knows how many."""
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
    )
