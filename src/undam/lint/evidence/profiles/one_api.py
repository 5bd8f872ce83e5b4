"""Profile that identifies the servers and routes of One API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="one-api",
    title="One API",
    role=ServiceRole.GATEWAY,
    names=("one-api", "oneapi"),
    images=("justsong/one-api",),
    source="github.com/songquanpeng/one-api, docker-compose.yml and README",
    dated="2026-11",
)
