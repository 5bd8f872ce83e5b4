"""Profile that identifies the servers and routes of the Cohere API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="cohere",
    title="Cohere API",
    role=ServiceRole.HOSTED,
    names=("cohere-api",),
    hosts=("api.cohere.com", "api.cohere.ai"),
    source="docs.cohere.com, streaming responses",
    dated="2026-11",
)
