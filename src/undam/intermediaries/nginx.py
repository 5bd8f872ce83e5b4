"""nginx, and its plain kin OpenResty and Tengine, which behave the same."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_BUFFERING = Fix("nginx", "proxy_buffering off;")
_HTTP11 = Fix("nginx", "proxy_http_version 1.1;")

NGINX = Intermediary(
    name="nginx",
    title="nginx",
    kind="proxy",
    signs=(
        Sign("server", r"^(nginx|tengine)\b"),
        # Kong is OpenResty inside and may say so when the origin sends no Server header.
        Sign("server", r"^openresty\b", certain=False),
    ),
    holds=(
        "Speaks HTTP/1.0 to the upstream and holds 4096-byte blocks, headers and heartbeats too; "
        "over 1.1 with a chunked origin it streams. gzip of text/event-stream with buffering on "
        "holds the whole response. 1.29.7 and later speak 1.1 by default (documented)."
    ),
    cuts=(
        "proxy_read_timeout: 60 s of silence. With buffering over HTTP/1.0 a cut also throws away "
        "the tokens already received."
    ),
    fixes={
        Trouble.HOLD: _BUFFERING,
        Trouble.HEADERS_HELD: _BUFFERING,
        Trouble.COMPRESSION: Fix("nginx", "gzip off;"),
        Trouble.CLOSE_DELIMITED: _HTTP11,
        Trouble.HIDES_CUT: _HTTP11,
        Trouble.IDLE_LIMIT: Fix("nginx", "proxy_read_timeout 3600s;"),
        Trouble.EATS_X_ACCEL: Fix("nginx", "proxy_pass_header X-Accel-Buffering;"),
    },
    idle_limit_s=60.0,
    evidence="measured",
    version="1.22.1",
    source="measured on loopback; nginx.org, ngx_http_proxy_module",
    origin_lost="HTTP/1.0 upstream: a clean end that looks complete; 1.1: truncated",
    client_left="told within 2 ms, also in silence",
)
