"""Bun.serve."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("bun.com/guides/http/sse; bun#27479", checked="2026-11")

ENTRY = Intermediary(
    name="bun-serve",
    title="Bun.serve",
    kind="server",
    claims=(
        Limit(
            Aspect.CUTS_IDLE, 10, "idleTimeout cuts a stream after 10 s of silence.", evidence=_DOCS
        ),
        Remedy(Trouble.IDLE_LIMIT, "bun", "server.timeout(req, 0);", evidence=_DOCS),
    ),
)
