"""Profile that identifies the servers and routes of the OpenRouter API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="openrouter",
    title="OpenRouter API",
    role=ServiceRole.HOSTED,
    names=("openrouter",),
    hosts=("openrouter.ai",),
    source="openrouter.ai/docs, streaming",
    dated="2026-11",
)
