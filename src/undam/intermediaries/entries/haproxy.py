"""HAProxy."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Limit,
    Remedy,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary
from undam.versions import HAPROXY_SSE_UNDELAYED

_RUN = measured(
    "2.8.25",
    "scripts/measure-intermediaries haproxy --idle 75",
    checked="2026-11",
    source="docs.haproxy.org, option http-no-delay",
)
_RUN_OLD = measured("2.6.12", "scripts/measure-intermediaries haproxy --idle 75", checked="2026-11")
_RULE_TESTS = measured("2.6.12", "pytest tests/live/test_rules_haproxy.py", checked="2026-11")
_ANNOUNCEMENT = documented(
    "announcement of HAProxy 3.4.7 (2026-10-14), not run; back-ports unknown", checked="2026-11"
)
_SOURCE = documented(
    "haproxy 3.5-dev5 (2026-08-21), commit b2137b711 (2026-07-21)", checked="2026-11"
)

ENTRY = Intermediary(
    name="haproxy",
    title="HAProxy",
    kind="proxy",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "According to its announcement, event streams are sent without the delay "
                "of older versions."
            ),
            evidence=_ANNOUNCEMENT,
            since=HAPROXY_SSE_UNDELAYED.since,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Sends data with MSG_MORE, so the kernel holds it for about 200 ms or "
                "until a segment is full, including headers and heartbeats. wait-for-body "
                "holds the whole response."
            ),
            evidence=_RUN,
            until=HAPROXY_SSE_UNDELAYED.since,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Commit b2137b711 removes the delay only for a finished Content-Length "
                "body; it does not affect streams."
            ),
            evidence=_SOURCE,
            until=HAPROXY_SSE_UNDELAYED.since,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "gzip delays heartbeats by 500 ms. With gzip and http-no-delay, the "
                "stream is exactly one event late."
            ),
            evidence=_RULE_TESTS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            50,
            ("timeout server is 50 s in the sample configuration; HAProxy itself has no default."),
            evidence=_RUN_OLD,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "A disconnect is detected only at the origin's next write.",
            evidence=_RUN,
        ),
        Remedy(Trouble.HOLD, "haproxy", "option http-no-delay", evidence=_RUN),
        Remedy(Trouble.HEADERS_HELD, "haproxy", "option http-no-delay", evidence=_RUN),
        Remedy(
            Trouble.COMPRESSION,
            "haproxy",
            (
                "option http-no-delay\n"
                "compression type text/html text/plain text/css application/javascript"
            ),
            evidence=_RULE_TESTS,
        ),
        Remedy(
            Trouble.ONE_LATE,
            "haproxy",
            "compression type text/html text/plain text/css application/javascript",
            evidence=_RULE_TESTS,
        ),
        Remedy(Trouble.IDLE_LIMIT, "haproxy", "timeout server 1h", evidence=_RUN_OLD),
    ),
)
