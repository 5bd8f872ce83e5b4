"""BytePlus CDN."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.byteplus.com, CDN, SSE", checked="2026-11")

ENTRY = Intermediary(
    name="byteplus-cdn",
    title="BytePlus CDN",
    kind="cdn",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Forwards each event immediately if its SSE option is on; the option and "
                "WebSocket exclude each other."
            ),
            evidence=_DOCS,
        ),
    ),
)
