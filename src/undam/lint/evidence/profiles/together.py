"""Profile that identifies the servers and routes of the Together API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="together",
    title="Together API",
    role=ServiceRole.HOSTED,
    names=("together-ai",),
    hosts=("api.together.xyz", "api.together.ai"),
    source="docs.together.ai, chat overview, streaming",
    dated="2026-11",
)
