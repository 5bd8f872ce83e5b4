"""aiohttp client."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("aiohttp 3.14.5, client.py:274", checked="2026-11")

ENTRY = Intermediary(
    name="aiohttp-client",
    title="aiohttp client",
    kind="client",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            300,
            "ClientTimeout is 300 s for the whole response by default.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "aiohttp",
            "aiohttp.ClientTimeout(total=None, sock_read=300)",
            evidence=_SOURCE,
        ),
    ),
)
