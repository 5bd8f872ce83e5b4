"""DigitalOcean App Platform."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("documentation of Fetch-Hive, which states about 100 s", checked="2026-11")

ENTRY = Intermediary(
    name="digitalocean-app-platform",
    title="DigitalOcean App Platform",
    kind="cloud",
    built_on="cloudflare",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "The edge, which is Cloudflare, cuts a stream after about 100 s of "
                "silence (Cloudflare's limit is now 125 s)."
            ),
            evidence=_REPORT,
        ),
    ),
)
