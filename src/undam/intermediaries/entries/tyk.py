"""Tyk Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "TykTechnologies/tyk (2026-08-21), reverse_proxy.go:627, 1593, 2032 and "
        "proxy_muxer.go:459; tyk.io, http_server_options"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="tyk",
    title="Tyk Gateway",
    kind="gateway",
    built_on="go-reverseproxy",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Flushes event streams and bodies without a length, whatever the value of "
                "enable_websockets: that option only allows upgrades."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            ("The timeout for the head of the origin is 30 s; no idle timeout was found."),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            120,
            "The write timeout is 120 s for the whole response.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "tyk",
            '"http_server_options": {"read_timeout": 3600, "write_timeout": 3600}',
            evidence=_DOCS,
        ),
    ),
)
