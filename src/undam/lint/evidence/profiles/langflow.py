"""Profile that identifies the servers and routes of Langflow."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="langflow",
    title="Langflow",
    role=ServiceRole.APP,
    names=("langflow",),
    images=("langflowai/langflow",),
    ports=(7860,),
    paths=("api/v1/run", "api/v1/build"),
    source="github.com/langflow-ai/langflow, docker_example/docker-compose.yml",
    dated="2026-11",
)
