"""Proxies written in Go around its standard reverse proxy: none of them adds a Server header."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

TRAEFIK = Intermediary(
    name="traefik",
    title="Traefik",
    kind="proxy",
    signs=(),
    holds=(
        "Flushes each 100 ms, and at once for what it recognises as streaming. The buffering "
        "middleware holds the whole response; compress was seen to flush each event."
    ),
    cuts=(
        "writeTimeout of the entry point, where it is set: a total limit. readTimeout (60 s by "
        "default) bounds the request alone and cut no response."
    ),
    fixes={
        Trouble.HOLD: Fix("traefik", "loadBalancer:\n  responseForwarding:\n    flushInterval: -1"),
        Trouble.COMPRESSION: Fix(
            "traefik", "compress:\n  excludedContentTypes:\n    - text/event-stream"
        ),
        Trouble.TOTAL_LIMIT: Fix(
            "traefik", "transport:\n  respondingTimeouts:\n    writeTimeout: 0s"
        ),
    },
    evidence="measured",
    version="3.7.15",
    source="measured on loopback; doc.traefik.io, responseForwarding, respondingTimeouts",
    built_on="go-reverseproxy",
)

GO_REVERSEPROXY = Intermediary(
    name="go-reverseproxy",
    title="Go httputil.ReverseProxy",
    kind="framework",
    signs=(),
    holds="Streams.",
    cuts="None of its own.",
    fixes={},
    evidence="measured",
    version="go 1.19",
    source="measured on loopback; pkg.go.dev, net/http/httputil",
    client_left="told within 2 ms, also in silence",
)

KRAKEND = Intermediary(
    name="krakend",
    title="KrakenD Community Edition",
    kind="proxy",
    signs=(Sign("x-krakend"),),
    holds=(
        "Holds about 4 KB even with the no-op encoding, since it does not flush. Streaming "
        "endpoints exist in the Enterprise Edition only."
    ),
    cuts="timeout: 2 s for the whole response.",
    fixes={Trouble.TOTAL_LIMIT: Fix("krakend", '"timeout": "3600s"')},
    total_limit_s=2.0,
    evidence="documented",
    source="krakend.io, timeouts and no-op",
)

TYK = Intermediary(
    name="tyk",
    title="Tyk Gateway",
    kind="proxy",
    signs=(),
    holds="Flushes event streams.",
    cuts="120 s for reading and for writing.",
    fixes={
        Trouble.HOLD: Fix("tyk", '"http_server_options": {"enable_websockets": true}'),
        Trouble.TOTAL_LIMIT: Fix(
            "tyk", '"http_server_options": {"read_timeout": 3600, "write_timeout": 3600}'
        ),
    },
    total_limit_s=120.0,
    evidence="documented",
    source="tyk.io, server-sent events and http_server_options",
)
