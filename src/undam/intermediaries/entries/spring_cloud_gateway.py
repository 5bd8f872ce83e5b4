"""Spring Cloud Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "spring-cloud-gateway, GatewayProperties.java:61 (2026-08-21)", checked="2026-11"
)
_REPORT = documented("spring-cloud-gateway#3410, #1550", checked="2026-11")

ENTRY = Intermediary(
    name="spring-cloud-gateway",
    title="Spring Cloud Gateway",
    kind="gateway",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Flushes each write only for the listed types: event-stream, stream+json and "
                "grpc. NDJSON is not in the list."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            "response-timeout, if set, limits the whole response.",
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.HOLD,
            "spring-cloud-gateway",
            "spring.cloud.gateway.streaming-media-types=text/event-stream,application/x-ndjson",
            evidence=_DOCS,
        ),
    ),
)
