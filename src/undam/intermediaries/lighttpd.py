"""lighttpd: holds the whole response unless told otherwise."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_STREAM = Fix("lighttpd", "server.stream-response-body = 1")

LIGHTTPD = Intermediary(
    name="lighttpd",
    title="lighttpd",
    kind="proxy",
    # Signs only where the origin sent no Server header.
    signs=(Sign("server", r"^lighttpd\b"),),
    holds=(
        "Holds the whole response and adds a Content-Length. From 1.4.83 it honours "
        "`Incremental: ?1` (read in its source)."
    ),
    cuts=(
        "68 s of silence survive; server.max-write-idle (360 s by default, documented) and a "
        "read-timeout of the proxy cut silent streams, and heartbeats help."
    ),
    fixes={
        Trouble.HOLD: _STREAM,
        Trouble.HEADERS_HELD: _STREAM,
        Trouble.CANCEL: _STREAM,
        Trouble.HIDES_CUT: _STREAM,
    },
    evidence="measured",
    version="1.4.69",
    source="measured on loopback; redmine.lighttpd.net, server.stream-response-body",
    origin_lost="default: 200 with a matching Content-Length; streaming: truncated",
    client_left="default: never noticed; streaming: noticed only at the origin's next write",
)
