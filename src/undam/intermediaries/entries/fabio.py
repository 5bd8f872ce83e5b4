"""fabio."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("fabiolb.net/feature/sse; fabio#739 (fixed)", checked="2026-11")

ENTRY = Intermediary(
    name="fabio",
    title="fabio",
    kind="proxy",
    built_on="go-reverseproxy",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Flushes once per second; with that request header it flushes at once.",
            evidence=_DOCS,
            conditions={"configuration": "request without Accept: text/event-stream"},
        ),
        Remedy(Trouble.HOLD, "client", "Accept: text/event-stream", evidence=_DOCS),
    ),
)
