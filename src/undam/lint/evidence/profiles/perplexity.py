"""Profile that identifies the servers and routes of the Perplexity API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="perplexity",
    title="Perplexity API",
    role=ServiceRole.HOSTED,
    names=("perplexity-api",),
    hosts=("api.perplexity.ai",),
    source="docs.perplexity.ai, streaming responses",
    dated="2026-11",
)
