"""State shared by all client connections of one event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from undam.aio.deadlines import DeadlineTimer
from undam.aio.deferred import DeferredQueue
from undam.gateway.body.budget import BodyBudget
from undam.gateway.body.step_queue import StepQueue
from undam.gateway.config.limits import RequestLimits
from undam.gateway.http.client_address import TrustedProxies
from undam.gateway.http.cross_origin import CrossOriginPolicy
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.interfaces import Observer, Router


class ClientSession(Protocol):
    """Client connection that carries several requests at once."""

    def drain(self) -> None:
        """Accept no further requests, and close the connection when none is in flight."""
        ...

    def close(self) -> None:
        """Close the connection; data already written is still sent if possible."""
        ...


@dataclass(slots=True, eq=False)
class GatewayContext:
    """State shared by all client connections of one event loop.

    Args:
        router, observer, limits: components that may be replaced at any time. A request keeps the
            components with which it started.
        draining: client connections are closed after the current response.
        budget: bytes of buffered request bodies.
        steps: inspections of long request bodies.
        cors: cross-origin headers of responses.
        trusted_proxies: proxies whose X-Forwarded-For header is trusted.
        proxy_protocol: connections begin with a header of the PROXY protocol.
        sessions: the open HTTP/2 connections.
        request_finished: event that is set whenever a request has ended.
    """

    router: Router
    observer: Observer
    limits: RequestLimits
    loop: asyncio.AbstractEventLoop
    timer: DeadlineTimer
    deferred: DeferredQueue
    pool: UpstreamPool
    budget: BodyBudget
    steps: StepQueue
    cors: CrossOriginPolicy = field(default_factory=CrossOriginPolicy)
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    proxy_protocol: bool = False
    sessions: set[ClientSession] = field(default_factory=set)
    draining: bool = False
    request_finished: asyncio.Event = field(default_factory=asyncio.Event)
