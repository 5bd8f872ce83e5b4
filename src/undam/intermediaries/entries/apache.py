"""Apache httpd (mod_proxy_http)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "2.4.71",
    "scripts/measure-intermediaries apache --idle 75",
    checked="2026-11",
    source="httpd.apache.org, mod_proxy and mod_deflate",
)
_RULE_TESTS = measured("2.4.71", "pytest tests/live/test_rules_apache.py", checked="2026-11")

ENTRY = Intermediary(
    name="apache",
    title="Apache httpd (mod_proxy_http)",
    kind="proxy",
    claims=(
        Sign("server", r"^apache($|/(?P<version>\d[\d.]{0,15})?| \()", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams, whatever the value of flushpackets, also with mod_deflate and "
                "mod_substitute."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            "mod_deflate compresses and flushes each event, and ignores no-transform.",
            evidence=_RULE_TESTS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            ("Timeout cuts a stream after 60 s of silence (300 s in Debian's configuration)."),
            evidence=_RUN,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "A disconnect is detected only at the origin's next write.",
            evidence=_RUN,
        ),
        Remedy(Trouble.IDLE_LIMIT, "apache", "ProxyTimeout 3600", evidence=_RULE_TESTS),
        Remedy(Trouble.COMPRESSION, "apache", "SetEnv no-gzip 1", evidence=_RULE_TESTS),
    ),
)
