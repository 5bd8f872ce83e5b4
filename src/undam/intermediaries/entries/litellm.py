"""LiteLLM proxy."""

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

_SOURCE = documented(
    "litellm 1.110.2, sse_keepalive.py and common_request_processing.py", checked="2026-11"
)
_RUN = measured("1.108", "undam check through the proxy; docs/gateway.md", checked="2026-11")
_REPORT = documented("litellm#38722, #31389", checked="2026-11")

ENTRY = Intermediary(
    name="litellm",
    title="LiteLLM proxy",
    kind="gateway",
    claims=(
        Sign("x-litellm-version", evidence=_RUN),
        Sign("x-litellm-call-id", evidence=_RUN),
        Sign("x-litellm-applied-guardrails", evidence=_SOURCE),
        Behaviour(
            Aspect.HOLDS, "Streams, and rebuilds each event of the upstream.", evidence=_SOURCE
        ),
        Behaviour(
            Aspect.HOLDS,
            ("Holds the stream until its end; a post-call Bedrock guardrail does so by default."),
            evidence=_REPORT,
            conditions={"configuration": "guardrail with streaming_buffer_until_moderated"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "Stream and idle timeouts apply only if set. Heartbeats to the client are "
                "off unless sse_keepalive_ping_interval_seconds is set; heartbeats of the "
                "upstream are dropped."
            ),
            evidence=_SOURCE,
        ),
        Limit(Aspect.CUTS_TOTAL, 6000, "request_timeout: 6000 s.", evidence=_SOURCE),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            (
                "The origin is notified after 4 ms between tokens; while the upstream is "
                "silent, a disconnect is not detected."
            ),
            evidence=_RUN,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "An error event is added to the stream.", evidence=_RUN),
        Remedy(
            Trouble.HOLD, "litellm", "streaming_buffer_until_moderated: false", evidence=_REPORT
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "litellm",
            ("general_settings:\n  sse_keepalive_ping_interval_seconds: 15"),
            evidence=_SOURCE,
        ),
    ),
)
