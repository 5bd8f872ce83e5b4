"""Profile that identifies the servers and routes of LocalAI."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="localai",
    title="LocalAI",
    role=ServiceRole.ENGINE,
    names=("localai", "local-ai"),
    images=("localai/localai", "go-skynet/local-ai"),
    source="localai.io, installation with containers",
    dated="2026-11",
)
