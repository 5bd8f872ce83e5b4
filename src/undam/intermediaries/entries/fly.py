"""Fly.io."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("superfly/docs, reference/content-encoding (2025-06-17)", checked="2026-11")
_REPORT = documented("community.fly.io, threads on idle connections", checked="2026-11")

ENTRY = Intermediary(
    name="fly",
    title="Fly.io",
    kind="cloud",
    claims=(
        Sign("fly-request-id", evidence=_DOCS),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "Holds responses that it compresses, but does not change responses that "
                "already have a content coding."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "Forum threads, the only source, report a limit of 60 s of silence.",
            evidence=_REPORT,
        ),
        Remedy(Trouble.HOLD, "origin", "Content-Encoding: none", evidence=_DOCS),
        Remedy(Trouble.COMPRESSION, "origin", "Content-Encoding: none", evidence=_DOCS),
    ),
)
