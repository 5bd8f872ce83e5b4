"""Kong AI proxy plugin."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("Kong/kong, kong/llm/plugin/shared-filters", checked="2026-11")
_HEADER = documented("Kong#13472, response header X-Kong-LLM-Model", checked="2026-11")
_REPORT = documented("Kong#12680, #14425", checked="2026-11")

ENTRY = Intermediary(
    name="kong-ai",
    title="Kong AI proxy plugin",
    kind="gateway",
    built_on="kong",
    claims=(
        Sign("x-kong-llm-model", evidence=_HEADER),
        Behaviour(
            Aspect.HOLDS,
            ("Streams are parsed and re-framed; routes without streaming are buffered completely."),
            evidence=_SOURCE,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "The service's read_timeout cuts a stream after 60 s of silence.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.HOLD,
            "kong-ai",
            "response_streaming: allow  # and no plugin that transforms the response",
            evidence=_REPORT,
        ),
    ),
)
