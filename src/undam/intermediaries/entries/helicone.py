"""Helicone."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "Helicone/helicone, worker/src, and docs.helicone.ai/features (response header helicone-id)",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="helicone",
    title="Helicone",
    kind="gateway",
    claims=(
        Sign("helicone-id", evidence=_DOCS),
        Sign("helicone-status", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams, and copies the stream for its log. A cached answer is sent in one piece; "
                "no report of another hold was found."
            ),
            evidence=_DOCS,
        ),
    ),
)
