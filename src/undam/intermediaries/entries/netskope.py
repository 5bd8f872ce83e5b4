"""Netskope Secure Web Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented(
    "D4-project/Plum-Island#41 (issuer), streetwriters/notesnook#4553", checked="2026-11"
)

ENTRY = Intermediary(
    name="netskope",
    title="Netskope Secure Web Gateway",
    kind="inspector",
    claims=(
        Sign(":tls-issuer", r"\bO=Netskope\b|\.goskope\.com\b", evidence=_REPORT),
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
            "netskope",
            "# exempt the host of the stream from SSL decryption (steering exception)",
            evidence=_REPORT,
        ),
    ),
)
