"""Caddy: streams unless told to buffer."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

CADDY = Intermediary(
    name="caddy",
    title="Caddy",
    kind="proxy",
    signs=(
        Sign("via", r"\bcaddy\b"),
        Sign("server", r"^caddy\b"),  # 2.6 adds a second Server line
    ),
    holds=(
        "Streams by default; headers wait for the first body byte. buffer_responses holds the "
        "whole response, whatever flush_interval says. `encode` streams while the first event is "
        "under its minimum of 512 bytes; with larger ones gzip holds blocks and zstd all."
    ),
    cuts=(
        "None by default: 68 s of silence survive. A read_timeout of the transport is an idle "
        "limit, and its cut looks like an end; `timeouts { write … }` of the server is a total one."
    ),
    fixes={
        Trouble.HOLD: Fix("caddy", "flush_interval -1\n# and no buffer_responses beside it"),
        Trouble.HEADERS_HELD: Fix("caddy", "flush_interval -1"),
        Trouble.COMPRESSION: Fix(
            "caddy",
            "encode {\n\tgzip\n\tmatch {\n\t\theader Content-Type text/html*\n\t}\n}",
        ),
    },
    evidence="measured",
    version="2.6.2",
    source="measured on loopback; caddyserver.com, reverse_proxy and encode",
    origin_lost="a clean end that looks complete",
    client_left="told within 2 ms, also in silence",
)
