"""Kestrel (ASP.NET Core)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "learn.microsoft.com, KestrelServerLimits.MinResponseDataRate", checked="2026-11"
)

ENTRY = Intermediary(
    name="kestrel",
    title="Kestrel (ASP.NET Core)",
    kind="server",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "There is no idle timeout. MinResponseDataRate (240 bytes/s after a "
                "grace period of 5 s) applies to each write and aborts the connection of "
                "a stalled reader."
            ),
            evidence=_DOCS,
        ),
    ),
)
