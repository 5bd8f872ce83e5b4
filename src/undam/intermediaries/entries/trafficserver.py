"""Apache Traffic Server."""

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
from undam.versions import TRAFFICSERVER_RECORDS_YAML

_RUN = measured(
    "9.2.9",
    "scripts/measure-intermediaries trafficserver --idle 75",
    checked="2026-11",
    source="docs.trafficserver.apache.org, records.config and compress",
)
_RULE_TESTS = measured("9.2.9", "pytest tests/live/test_rules_trafficserver.py", checked="2026-11")
_SOURCE = documented(
    "apache/trafficserver 10.2 (2026-08-19), RecordsConfig.cc and upgrading.en.rst:142",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="trafficserver",
    title="Apache Traffic Server",
    kind="proxy",
    claims=(
        Sign("server", r"^ats\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_RUN),
        Sign("via", r"\(apachetrafficserver\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_RUN),
        Behaviour(Aspect.HOLDS, "Streams by default.", evidence=_RUN),
        Behaviour(
            Aspect.COMPRESSION,
            ("compress.so with flush false sends headers immediately, and holds the whole body."),
            evidence=_RULE_TESTS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            "transaction_no_activity_timeout_out cuts a stream after 30 s of silence.",
            evidence=_RUN,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            ("http2.no_activity_timeout_in closes the connection to the client after 120 s."),
            evidence=_SOURCE,
            conditions={"http_version": "2"},
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "A disconnect is detected only at the origin's next write.",
            evidence=_RUN,
        ),
        Remedy(Trouble.COMPRESSION, "trafficserver", "flush true", evidence=_RULE_TESTS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "trafficserver",
            ("records:\n  http:\n    transaction_no_activity_timeout_out: 3600"),
            evidence=_SOURCE,
            since=TRAFFICSERVER_RECORDS_YAML.since,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "trafficserver",
            "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600",
            evidence=_RUN,
            until=TRAFFICSERVER_RECORDS_YAML.since,
        ),
    ),
)
