"""Apache httpd: streams over HTTP, holds over FastCGI and AJP."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_TIMEOUT = Fix("apache", "ProxyTimeout 3600")

APACHE = Intermediary(
    name="apache",
    title="Apache httpd (mod_proxy_http)",
    kind="proxy",
    # Replaces nothing: it signs only where the origin sent no Server header.
    signs=(Sign("server", r"^apache($|/| \()"),),
    holds=(
        "Streams, whatever flushpackets says, with mod_deflate and mod_substitute too. "
        "mod_deflate gzips each event on its own and ignores no-transform."
    ),
    cuts="Timeout: 60 s of silence; Debian ships 300.",
    fixes={
        Trouble.IDLE_LIMIT: _TIMEOUT,
        Trouble.COMPRESSION: Fix("apache", "SetEnv no-gzip 1"),
    },
    idle_limit_s=60.0,
    evidence="measured",
    version="2.4.71",
    source="measured on loopback; httpd.apache.org, mod_proxy and mod_deflate",
    origin_lost="truncated",
    client_left="noticed only at the origin's next write",
)

APACHE_FCGI = Intermediary(
    name="apache-fcgi",
    title="Apache httpd (mod_proxy_fcgi, mod_proxy_ajp)",
    kind="proxy",
    signs=(),
    holds="flushpackets is off by default, so small writes wait for a full buffer.",
    cuts="60 s of silence.",
    fixes={
        Trouble.HOLD: Fix("apache", 'ProxyPass "/v1" "fcgi://127.0.0.1:9000" flushpackets=on'),
        Trouble.IDLE_LIMIT: _TIMEOUT,
    },
    idle_limit_s=60.0,
    evidence="documented",
    source="httpd.apache.org, mod_proxy, flushpackets",
    built_on="apache",
)
