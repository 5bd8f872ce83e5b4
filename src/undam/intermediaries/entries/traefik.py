"""Traefik."""

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

_RUN = measured(
    "3.7.15",
    "scripts/measure-intermediaries traefik --idle 75",
    checked="2026-11",
    source="doc.traefik.io, responseForwarding, respondingTimeouts",
)
_RULE_TESTS = measured("3.7.15", "pytest tests/live/test_rules_traefik.py", checked="2026-11")
_SOURCE = documented("traefik v3.7.9, DefaultFlushInterval", checked="2026-11")

ENTRY = Intermediary(
    name="traefik",
    title="Traefik",
    kind="proxy",
    built_on="go-reverseproxy",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Flushes every 100 ms, and at once for responses that it recognises as "
                "streams (event streams, and any body without a length)."
            ),
            evidence=_SOURCE,
        ),
        Behaviour(
            Aspect.HOLDS, "The buffering middleware holds the whole response.", evidence=_RUN
        ),
        Behaviour(
            Aspect.COMPRESSION, "The compress middleware flushes each event.", evidence=_RULE_TESTS
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "There is no idle timeout: a stream survives 75 s.",
            evidence=_RUN,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            (
                "writeTimeout of the entry point, if set, limits the whole response. "
                "readTimeout (60 s by default) limits only the request and does not cut a "
                "response."
            ),
            evidence=_RULE_TESTS,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "traefik",
            ("loadBalancer:\n  responseForwarding:\n    flushInterval: -1"),
            evidence=_RULE_TESTS,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "traefik",
            ("compress:\n  excludedContentTypes:\n    - text/event-stream"),
            evidence=_RULE_TESTS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "traefik",
            ("transport:\n  respondingTimeouts:\n    writeTimeout: 0s"),
            evidence=_RULE_TESTS,
        ),
    ),
)
