"""Zscaler Internet Access."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented(
    "sectigo/CTLogs#57 (issuer), opencode#18785, claude-code#43158", checked="2026-11"
)

ENTRY = Intermediary(
    name="zscaler",
    title="Zscaler Internet Access",
    kind="inspector",
    claims=(
        Sign(":tls-issuer", r"\bO=Zscaler\b|\bCN=Zscaler\b", evidence=_REPORT),
        Behaviour(
            Aspect.HOLDS,
            (
                "Decrypts TLS with a certificate of its own. The reports concern certificates; "
                "none shows a held stream, so test a direct connection before you blame it."
            ),
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.HOLD,
            "zscaler",
            "# exempt the host of the stream from SSL inspection",
            evidence=_REPORT,
        ),
    ),
)
