"""Cowboy (Phoenix before Bandit)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("ninenines/cowboy, cowboy_http.asciidoc:111 and 212", checked="2026-11")

ENTRY = Intermediary(
    name="cowboy",
    title="Cowboy (Phoenix before Bandit)",
    kind="server",
    claims=(
        Sign("server", "^cowboy$", certain=False, evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            60,
            (
                "idle_timeout: 60 s without data from the client. Data sent to it does not "
                "extend the limit, so heartbeats do not help."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "cowboy",
            "reset_idle_timeout_on_send => true",
            evidence=_DOCS,
            since="2.11",
        ),
        Remedy(
            Trouble.TOTAL_LIMIT, "cowboy", "idle_timeout => infinity", evidence=_DOCS, until="2.11"
        ),
    ),
)
