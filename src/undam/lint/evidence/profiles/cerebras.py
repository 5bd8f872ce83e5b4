"""Profile that identifies the servers and routes of the Cerebras API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="cerebras",
    title="Cerebras API",
    role=ServiceRole.HOSTED,
    names=("cerebras",),
    hosts=("api.cerebras.ai",),
    source="inference-docs.cerebras.ai, streaming responses",
    dated="2026-11",
)
