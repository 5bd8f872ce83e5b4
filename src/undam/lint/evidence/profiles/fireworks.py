"""Profile that identifies the servers and routes of the Fireworks API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="fireworks",
    title="Fireworks API",
    role=ServiceRole.HOSTED,
    names=("fireworks-ai",),
    hosts=("api.fireworks.ai",),
    source="docs.fireworks.ai, querying text models, streaming",
    dated="2026-11",
)
