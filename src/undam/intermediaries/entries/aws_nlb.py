"""AWS Network Load Balancer."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("WaveHouse#346, which quotes docs.aws.amazon.com", checked="2026-11")

ENTRY = Intermediary(
    name="aws-nlb",
    title="AWS Network Load Balancer",
    kind="cloud",
    claims=(
        Behaviour(Aspect.HOLDS, "Does not buffer: it relays TCP.", evidence=_REPORT),
        Limit(
            Aspect.CUTS_IDLE,
            350,
            "After 350 s without traffic (60 to 6000), packets are dropped silently.",
            evidence=_REPORT,
        ),
        Remedy(Trouble.IDLE_LIMIT, "aws-nlb", "tcp.idle_timeout.seconds=6000", evidence=_REPORT),
    ),
)
