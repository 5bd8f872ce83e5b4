"""Node relays (http-proxy, http-proxy-middleware 3, @fastify/http-proxy)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "http-proxy 1.18.1, http-proxy-middleware 3.0.10",
    "scripts/measure-intermediaries node --idle 75",
    checked="2026-11",
)
_RUN_FASTIFY = measured(
    "@fastify/http-proxy 11", "undam check --beacon through the relay", checked="2026-11"
)

ENTRY = Intermediary(
    name="node-http-proxy",
    title="Node relays (http-proxy, http-proxy-middleware 3, @fastify/http-proxy)",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams. responseInterceptor of http-proxy-middleware holds the whole "
                "response and adds a Content-Length."
            ),
            evidence=_RUN,
        ),
        Behaviour(Aspect.HEAD, "The head waits for the first byte of the body.", evidence=_RUN),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "It has no idle limit; a stream survives 75 s of silence.",
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "With http-proxy, the client hangs after an orderly close, and a reset "
                "truncates the body."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            (
                "http-proxy 1.18 never detects a disconnect, so the origin runs to the "
                "end; http-proxy-middleware 3.0.10 notifies the origin within 5 ms."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "@fastify/http-proxy notifies the origin within 2 ms.",
            evidence=_RUN_FASTIFY,
        ),
        Remedy(
            Trouble.HOLD,
            "http-proxy-middleware",
            "selfHandleResponse: false  // and no responseInterceptor",
            evidence=_RUN,
        ),
    ),
)
