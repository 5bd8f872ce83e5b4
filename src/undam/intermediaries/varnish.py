"""Varnish Cache: streams unless VCL has it look at the whole body."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_STREAM = Fix("varnish", "set beresp.do_stream = true;")

VARNISH = Intermediary(
    name="varnish",
    title="Varnish Cache",
    kind="proxy",
    signs=(
        Sign("x-varnish"),
        Sign("via", r"\(varnish/"),
        Sign("via", r"\bvarnish\b", certain=False),  # Fastly's edge says no more than this
    ),
    holds=(
        "Streams by default and with return(pipe). beresp.do_stream = false or do_esi holds the "
        "whole response and adds a Content-Length; do_gzip sends headers at once, then blocks of "
        "16 KB of gzip output."
    ),
    cuts="between_bytes_timeout: 60 s of silence.",
    fixes={
        Trouble.HOLD: _STREAM,
        Trouble.HEADERS_HELD: _STREAM,
        Trouble.COMPRESSION: Fix("varnish", "set beresp.do_gzip = false;"),
        Trouble.IDLE_LIMIT: Fix("varnish", "set bereq.between_bytes_timeout = 3600s;"),
    },
    idle_limit_s=60.0,
    evidence="measured",
    version="7.1.1",
    source="measured on loopback; varnish-cache.org, VCL variables",
    origin_lost="truncated",
    client_left="noticed only at the origin's next write",
)
