"""Envoy."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Limit,
    Remedy,
    Sign,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "1.40.0",
    "scripts/measure-intermediaries envoy --idle 75",
    checked="2026-11",
    source="envoyproxy.io, RouteAction.timeout",
)
_RULE_TESTS = measured("1.40.0", "pytest tests/live/test_rules_envoy.py", checked="2026-11")
_DOCS = documented("envoyproxy.io, stream_idle_timeout and RouteAction.timeout", checked="2026-11")

ENTRY = Intermediary(
    name="envoy",
    title="Envoy",
    kind="proxy",
    claims=(
        Sign("server", "^envoy$", evidence=_RUN),
        Sign("x-envoy-upstream-service-time", certain=False, evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            "Streams. A Lua filter that reads the body holds the whole response.",
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            "Its gzip compressor flushes each event and honours no-transform.",
            evidence=_RULE_TESTS,
        ),
        Limit(Aspect.CUTS_IDLE, 300, "stream_idle_timeout is 5 min by default.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            15,
            ("The route timeout of 15 s covers the whole response; heartbeats do not extend it."),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN, "The client receives a truncated body within 1 s.", evidence=_RUN
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN,
        ),
        Remedy(Trouble.TOTAL_LIMIT, "envoy", "timeout: 0s", evidence=_RUN),
        Remedy(Trouble.IDLE_LIMIT, "envoy", "idle_timeout: 3600s", evidence=_RULE_TESTS),
        Remedy(Trouble.COMPRESSION, "origin", "Cache-Control: no-transform", evidence=_RULE_TESTS),
    ),
)
