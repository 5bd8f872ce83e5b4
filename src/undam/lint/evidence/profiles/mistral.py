"""Profile that identifies the servers and routes of the Mistral API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="mistral",
    title="Mistral API",
    role=ServiceRole.HOSTED,
    names=("mistral",),
    hosts=("api.mistral.ai",),
    source="docs.mistral.ai, API, chat completions",
    dated="2026-11",
)
