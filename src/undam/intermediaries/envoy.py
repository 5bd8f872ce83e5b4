"""Envoy and what is built on it: they stream, and cut."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_STREAMS = "Streams, as Envoy does."

ENVOY = Intermediary(
    name="envoy",
    title="Envoy",
    kind="proxy",
    signs=(
        Sign("server", r"^envoy$"),
        Sign("x-envoy-upstream-service-time", certain=False),  # Istio's proxies send it too
    ),
    holds=(
        "Streams; its gzip compressor flushes each event and honours no-transform. A Lua filter "
        "that reads the body holds the whole response."
    ),
    cuts=(
        "The route's timeout of 15 s covers the whole response and no heartbeat moves it; "
        "stream_idle_timeout is 5 min."
    ),
    fixes={
        Trouble.TOTAL_LIMIT: Fix("envoy", "timeout: 0s"),
        Trouble.IDLE_LIMIT: Fix("envoy", "idle_timeout: 3600s"),
        Trouble.COMPRESSION: Fix("origin", "Cache-Control: no-transform"),
    },
    idle_limit_s=300.0,
    total_limit_s=15.0,
    evidence="measured",
    version="1.39",
    source="measured on loopback; envoyproxy.io, RouteAction.timeout",
    origin_lost="truncated, 1 s late",
    client_left="told within 2 ms, also in silence",
)

ISTIO = Intermediary(
    name="istio",
    title="Istio",
    kind="proxy",
    signs=(Sign("server", r"^istio-envoy$"),),
    holds=_STREAMS,
    cuts="Envoy's idle limit of 5 min; the limit on the whole request is off by default since 1.5.",
    fixes={
        Trouble.TOTAL_LIMIT: Fix(
            "istio", "kind: VirtualService\nspec:\n  http:\n    - timeout: 0s"
        ),
    },
    idle_limit_s=300.0,
    evidence="documented",
    source="istio.io, request timeouts",
    built_on="envoy",
)

CONTOUR = Intermediary(
    name="contour",
    title="Contour",
    kind="proxy",
    signs=(),
    holds=_STREAMS,
    cuts="Envoy's: 15 s for the whole response, 5 min of silence.",
    fixes={
        Trouble.TOTAL_LIMIT: Fix("contour", "timeoutPolicy:\n  response: infinity"),
        Trouble.IDLE_LIMIT: Fix("contour", "timeoutPolicy:\n  idle: 1h"),
    },
    idle_limit_s=300.0,
    total_limit_s=15.0,
    evidence="documented",
    source="projectcontour.io, HTTPProxy timeoutPolicy",
    built_on="envoy",
)

ENVOY_GATEWAY = Intermediary(
    name="envoy-gateway",
    title="Envoy Gateway",
    kind="proxy",
    signs=(),
    holds=_STREAMS,
    cuts="Envoy's: 15 s for the whole response, 5 min of silence.",
    fixes={
        Trouble.TOTAL_LIMIT: Fix(
            "envoy-gateway",
            'kind: BackendTrafficPolicy\nspec:\n  timeout:\n    http:\n      requestTimeout: "0s"',
        ),
    },
    idle_limit_s=300.0,
    total_limit_s=15.0,
    evidence="documented",
    source="gateway.envoyproxy.io, HTTP timeouts",
    built_on="envoy",
)
