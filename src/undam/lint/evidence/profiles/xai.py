"""Profile that identifies the servers and routes of the xAI API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="xai",
    title="xAI API",
    role=ServiceRole.HOSTED,
    names=("xai-api", "grok-api"),
    hosts=("api.x.ai",),
    source="docs.x.ai, streaming response",
    dated="2026-11",
)
