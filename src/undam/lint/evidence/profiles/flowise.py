"""Profile that identifies the servers and routes of Flowise."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="flowise",
    title="Flowise",
    role=ServiceRole.APP,
    names=("flowise", "flowiseai"),
    images=("flowiseai/flowise",),
    paths=("api/v1/prediction", "api/v1/internal-prediction"),
    source="github.com/FlowiseAI/Flowise, docker/docker-compose.yml",
    dated="2026-11",
)
