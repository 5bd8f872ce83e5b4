"""HAProxy: signs nothing, and is known by its 200 ms."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Trouble
from undam.rules import Fix

_NO_DELAY = Fix("haproxy", "option http-no-delay")
# Without a list of types it compresses whatever passes; this one leaves event streams out.
_LISTED_TYPES = "compression type text/html text/plain text/css application/javascript"

HAPROXY = Intermediary(
    name="haproxy",
    title="HAProxy",
    kind="proxy",
    signs=(),
    holds=(
        "Marks what it sends as to be continued, so the kernel holds it for about 200 ms or one "
        "segment, headers and heartbeats too. gzip delays heartbeats by 500 ms; gzip with "
        "http-no-delay is exactly one event late; wait-for-body holds the whole response."
    ),
    cuts="timeout server: 50 s in the sample configuration.",
    fixes={
        Trouble.HOLD: _NO_DELAY,
        Trouble.HEADERS_HELD: _NO_DELAY,
        # An uncompressed stream is still held for 200 ms, so the one line needs the other.
        Trouble.COMPRESSION: Fix("haproxy", f"{_NO_DELAY.text}\n{_LISTED_TYPES}"),
        Trouble.ONE_LATE: Fix("haproxy", _LISTED_TYPES),
        Trouble.IDLE_LIMIT: Fix("haproxy", "timeout server 1h"),
    },
    idle_limit_s=50.0,
    evidence="measured",
    version="2.6.12",
    source="measured on loopback; docs.haproxy.org, option http-no-delay",
    origin_lost="truncated",
    client_left="noticed only at the origin's next write",
)
