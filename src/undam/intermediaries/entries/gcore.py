"""Gcore CDN."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("gcore.com/docs/cdn/getting-started/cdn-timeouts", checked="2026-11")

ENTRY = Intermediary(
    name="gcore",
    title="Gcore CDN",
    kind="cdn",
    built_on="nginx",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            30,
            (
                "A stream is cut after 30 s of silence from the origin; only support can "
                "change the limit."
            ),
            evidence=_DOCS,
        ),
    ),
)
