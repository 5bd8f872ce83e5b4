"""Profile that identifies the servers and routes of Khoj."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="khoj",
    title="Khoj",
    role=ServiceRole.APP,
    names=("khoj",),
    images=("khoj-ai/khoj",),
    ports=(42110,),
    source="github.com/khoj-ai/khoj, docker-compose.yml",
    dated="2026-11",
)
