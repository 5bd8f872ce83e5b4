"""Limits for the parts of the gateway, set in the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FAILURE_STATUSES = frozenset({429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses that by default count as a failure of the upstream. CDNs use 520 to 524 if the server
behind them fails, and some model APIs use 529 if they are overloaded."""

HedgeMode = Literal["off", "auto", "fixed"]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Timeouts and buffer sizes for one request. Times are in seconds; ``None`` means no limit.

    Args:
        heartbeat_s: silence towards the client after which a heartbeat comment is sent.
        ttft_timeout_s: maximum wait for the first content from one upstream.
        idle_timeout_s: maximum silence of a stream after its first content.
        send_timeout_s: maximum time for which a client may leave buffered bytes unread.
        response_timeout_s: maximum wait for the head of a response that is not a stream.
        request_timeout_s: maximum time to receive a request head.
        keep_alive_s: maximum time for which an idle client connection stays open.
        user_timeout_s: maximum time for which a client may acknowledge nothing, in addition to the
            send timeout.
        client_buffer_bytes: write buffer per client; the upstream is paused when it is full.
        max_head_bytes: maximum size of a request head or response head.
        max_body_bytes: maximum size of a request body.
        body_budget_bytes: maximum size of all request bodies in memory. One body may take half of
            it. Beyond that, a body is forwarded while it is read, so that the request can be
            neither retried nor hedged.
        failure_statuses: statuses with which an upstream has failed. A repeatable request is then
            sent to another one.
        retries: number of further upstreams to try after a failure.
        report_incomplete: end a stream that closes cleanly without its completion marker with an
            error event and an abnormal close.
    """

    heartbeat_s: float | None = 15.0
    ttft_timeout_s: float | None = 120.0
    response_timeout_s: float | None = 600.0
    idle_timeout_s: float | None = 300.0
    send_timeout_s: float | None = 60.0
    request_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    user_timeout_s: float = 90.0
    client_buffer_bytes: int = 256 << 10
    max_head_bytes: int = 32 << 10
    max_body_bytes: int = 64 << 20
    body_budget_bytes: int = 64 << 20
    failure_statuses: frozenset[int] = FAILURE_STATUSES
    retries: int = 2
    report_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Limits for admission control.

    Args:
        max_streams: maximum number of requests in flight; 0 means no limit.
        queue: maximum number of queued requests; with 0, a request that exceeds
            ``max_streams`` is refused at once.
        queue_timeout_s: maximum time in the queue before a request is refused.
    """

    max_streams: int = 0
    queue: int = 0
    queue_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class EjectionLimits:
    """Limits for the ejection of failing upstreams.

    Args:
        failures: consecutive failures before content. Envoy's default is 5; here it is lower,
            because each failure costs a user a retry.
        base_s: duration of the first ejection; each further one lasts twice as long.
        max_s: maximum duration of an ejection.
    """

    failures: int = 3
    base_s: float = 2.0
    max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class HedgeLimits:
    """Limits for hedging: delays and number of hedges.

    Args:
        fixed_delay_s: delay in mode ``fixed``.
        p95_factor: delay in mode ``auto``, as a multiple of the model's p95 TTFT. In a
            simulation at 85 % load, a factor of 1 raised p99 by 80 % and a factor of 2 by 10 %.
        p75_factor: upper bound of that delay, as a multiple of the p75 TTFT. When nearly 5 % of
            the requests stall, the p95 is sometimes a stall itself. Without stalls, fewer than
            1 % of the requests take longer than five times the p75.
        min_delay_s: shortest delay in mode ``auto``; below it, a second request costs more than it
            saves.
        max_share: maximum share of extra requests, at any time.
        burst: maximum number of hedges saved up in the budget, because stalls occur in clusters.
    """

    mode: HedgeMode = "off"
    fixed_delay_s: float = 0.0
    p95_factor: float = 2.0
    p75_factor: float = 5.0
    min_delay_s: float = 0.01
    max_share: float = 0.05
    burst: float = 10.0
