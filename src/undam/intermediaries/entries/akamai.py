"""Akamai."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "techdocs.akamai.com, readTimeout behavior (rules v2026-01-09)", checked="2026-11"
)
_GZIP_DOCS = documented("techdocs.akamai.com, gzipResponse behavior", checked="2026-11")

ENTRY = Intermediary(
    name="akamai",
    title="Akamai",
    kind="cdn",
    claims=(
        Sign("server", r"^akamaighost\b", evidence=_GZIP_DOCS),
        Sign("x-akamai-transformed", evidence=_GZIP_DOCS),
        Behaviour(
            Aspect.HEAD,
            (
                "firstByteTimeout allows 20 s until the first byte of the response; after "
                "that, the status is 504."
            ),
            evidence=_DOCS,
        ),
        Behaviour(
            Aspect.HOLDS,
            "No source found for buffering by default or for X-Accel-Buffering.",
            evidence=_GZIP_DOCS,
        ),
        Behaviour(Aspect.COMPRESSION, "Compression can be switched off.", evidence=_GZIP_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            5,
            (
                "readTimeout applies to each read: 5 s in the example of its "
                "documentation, then 504."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "akamai",
            '{"name": "gzipResponse", "options": {"behavior": "NEVER"}}',
            evidence=_GZIP_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "akamai",
            '{"name": "readTimeout", "options": {"value": "600s"}}',
            evidence=_DOCS,
        ),
    ),
)
