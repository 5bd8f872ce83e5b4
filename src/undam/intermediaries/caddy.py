"""Caddy: streams unless told to buffer."""

from __future__ import annotations

from undam.findings import Fix
from undam.intermediaries.intermediary import Intermediary, Sign, Trouble

CADDY = Intermediary(
    name="caddy",
    title="Caddy",
    kind="proxy",
    signs=(
        Sign("via", r"\bcaddy\b"),
        Sign("server", r"^caddy\b"),  # 2.6 adds a second Server line
    ),
    holds=(
        "Streams by default, also with `encode gzip`; headers wait for the first body byte. "
        "buffer_responses holds the whole response, whatever flush_interval says, and so does "
        "`encode` when it is made to match event streams of any length."
    ),
    cuts="No limit found: 68 s of silence survive.",
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
