"""Description of one program on a request's path, from which chains are built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum


class Tier(IntEnum):
    """Position of a program on a request's path, from the client to the model server."""

    CLIENT = 0
    CDN = 1
    LOAD_BALANCER = 2
    INGRESS = 3
    GATEWAY = 4
    PROXY = 5
    APP = 6
    ENGINE = 7


@dataclass(frozen=True, slots=True)
class ChainHop:
    """A program on a request's path, as described by its configuration.

    Args:
        tier: its usual position, which orders hops whose addresses do not connect them.
        title: name of the program for reports, such as ``Envoy Gateway``.
        path: the file that configures it.
        line: where the route, the service or the resource is defined.
        names: names under which other files may refer to it: a service, a host name, a route's
            parent, or ``:8000`` for a port of the machine. Letter case does not matter.
        upstreams: names or URLs of the services that it sends requests to.
        idle_limit_s: silence after which it cuts a stream, in seconds; ``None`` if that is unknown
            and ``inf`` if there is no limit.
        total_limit_s: duration after which it cuts a stream, in seconds; the same special values.
        buffers: whether it holds events back; ``None`` if that is unknown.
        compresses: whether it compresses streams; ``None`` if that is unknown.
        heartbeat_s: interval of the comments that it sends during a silence; ``None`` if it sends
            none.
        idle_at, total_at: path and line where the limit is configured; ``None`` if it is the
            default of the program.
        drops_heartbeats: it does not forward the heartbeats of its upstreams.
    """

    tier: Tier
    title: str
    path: str
    line: int
    names: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    idle_limit_s: float | None = None
    total_limit_s: float | None = None
    buffers: bool | None = None
    compresses: bool | None = None
    heartbeat_s: float | None = None
    idle_at: tuple[str, int] | None = None
    total_at: tuple[str, int] | None = None
    drops_heartbeats: bool = False


Hop = ChainHop
"""The name under which dialects import the class; `undam.diagnosis` has another `Hop`."""


def limit_s(seconds: float | None) -> float | None:
    """Return a limit in seconds. A 0, which means no limit in every program, becomes infinity."""
    return math.inf if seconds == 0 else seconds
