"""DigitalOcean App Platform."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("documentation of Fetch-Hive, which names about 100 s", checked="2026-11")

ENTRY = Intermediary(
    name="digitalocean-app-platform",
    title="DigitalOcean App Platform",
    kind="cloud",
    built_on="cloudflare",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            None,
            ("About 100 s of silence at its edge, which is Cloudflare's (125 s there now)."),
            evidence=_REPORT,
        ),
    ),
)
