"""Cloudflare."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "developers.cloudflare.com, connection limits (cloudflare-docs#32243, merged "
        "2026-07-22); measured by robhunter/agentdeals#1098 (125.4 s)"
    ),
    checked="2026-11",
)
_COMPRESSION_DOCS = documented("developers.cloudflare.com, compression", checked="2026-11")
_REPORT = documented("robhunter/agentdeals#1098 (2026-08-27), one report", checked="2026-11")

ENTRY = Intermediary(
    name="cloudflare",
    title="Cloudflare",
    kind="cdn",
    claims=(
        Sign("cf-ray", evidence=_DOCS),
        Sign("server", r"^cloudflare\b", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Does not compress text/event-stream by default. No source states that it "
                "honours X-Accel-Buffering."
            ),
            evidence=_COMPRESSION_DOCS,
        ),
        Behaviour(
            Aspect.HEAD, "The head is held until the first byte of the body.", evidence=_REPORT
        ),
        Limit(
            Aspect.CUTS_IDLE,
            125,
            (
                "The proxy read timeout is 125 s between two reads from the origin (100 s "
                "in older documentation). After that, the client receives 524 or a reset."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "The limit can be raised to 6000 s.",
            evidence=_DOCS,
            conditions={"plan": "Enterprise"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "The connection to the client is closed after being idle for 400 s.",
            evidence=_DOCS,
            conditions={"http_version": "2"},
        ),
        Remedy(
            Trouble.HOLD,
            "origin",
            ("Content-Type: text/event-stream\nCache-Control: no-cache, no-transform"),
            evidence=_COMPRESSION_DOCS,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "origin",
            ("Content-Type: text/event-stream\nCache-Control: no-cache, no-transform"),
            evidence=_COMPRESSION_DOCS,
        ),
        Remedy(Trouble.HEADERS_HELD, "origin", ": heartbeat", evidence=_REPORT),
    ),
)
