"""Node: relays that stream and hide the client's leaving, and a compressor that holds."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_NO_TRANSFORM = 'res.setHeader("Cache-Control", "no-cache, no-transform");'

EXPRESS = Intermediary(
    name="express",
    title="Express with compression()",
    kind="framework",
    signs=(Sign("x-powered-by", r"^express$"),),
    holds=(
        "Plain Express streams. compression() sends headers at once and holds the whole body, or "
        "28 KB of gzip output; flushed on each proxied read it is one event late."
    ),
    cuts="None of its own.",
    fixes={
        # The compression package leaves alone whatever says no-transform.
        Trouble.HOLD: Fix("express", _NO_TRANSFORM),
        Trouble.COMPRESSION: Fix("express", _NO_TRANSFORM),
        Trouble.ONE_LATE: Fix(
            "express",
            "app.use(compression({\n"
            '  filter: (req, res) => !/event-stream/.test(res.getHeader("Content-Type")) &&\n'
            "    compression.filter(req, res),\n"
            "}));",
        ),
    },
    evidence="measured",
    version="node 20",
    source="measured on loopback; npm package compression, filter and no-transform",
)

NODE_HTTP_PROXY = Intermediary(
    name="node-http-proxy",
    title="Node relays (http-proxy, http-proxy-middleware, @fastify/http-proxy)",
    kind="framework",
    signs=(),
    holds=(
        "Streams; headers wait for the first body byte. responseInterceptor of "
        "http-proxy-middleware holds the whole response and adds a Content-Length."
    ),
    cuts="None of its own: 68 s of silence survive.",
    fixes={
        Trouble.HOLD: Fix(
            "http-proxy-middleware", "selfHandleResponse: false  // and no responseInterceptor"
        ),
    },
    evidence="measured",
    version="http-proxy 1.18, http-proxy-middleware 3, @fastify/http-proxy 11",
    source="measured on loopback",
    origin_lost="http-proxy: the client hangs",
    client_left="http-proxy: never noticed, the origin runs to the end; fastify: within 2 ms",
)

NEXTJS = Intermediary(
    name="nextjs",
    title="Next.js",
    kind="framework",
    signs=(Sign("x-powered-by", r"^next\.js\b"),),
    holds="Its compression stalls event streams.",
    cuts="No source found.",
    fixes={
        Trouble.HOLD: Fix("nextjs", "Cache-Control: no-cache, no-transform"),
        Trouble.COMPRESSION: Fix("nextjs", "Cache-Control: no-cache, no-transform"),
    },
    evidence="documented",
    source="nextjs.org, compress",
)
