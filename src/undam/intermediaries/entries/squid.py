"""Squid."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "5.7",
    "scripts/measure-intermediaries squid --idle 75",
    checked="2026-11",
    source="squid-cache.org, read_timeout",
)
_RULE_TESTS = measured("5.7", "pytest tests/live/test_rules_squid.py", checked="2026-11")

ENTRY = Intermediary(
    name="squid",
    title="Squid",
    kind="proxy",
    claims=(
        Sign("via", r"\(squid/(?P<version>\d[\d.]{0,15})|\(squid\b", evidence=_RUN),
        Sign("x-cache-lookup", r"^(hit|miss|none) from [^ ]{1,255}:\d", evidence=_RUN),
        Behaviour(Aspect.HOLDS, "Streams.", evidence=_RUN),
        Limit(
            Aspect.CUTS_IDLE,
            900,
            ("read_timeout cuts a stream after 15 min of silence; a silence of 75 s survives."),
            evidence=_RULE_TESTS,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN,
        ),
        Remedy(Trouble.IDLE_LIMIT, "squid", "read_timeout 1 hour", evidence=_RULE_TESTS),
    ),
)
