"""Profile that identifies the servers and routes of New API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="new-api",
    title="New API",
    role=ServiceRole.GATEWAY,
    names=("new-api", "newapi"),
    images=("calciumion/new-api",),
    source="github.com/QuantumNous/new-api, docker-compose.yml",
    dated="2026-11",
)
