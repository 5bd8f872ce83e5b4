"""Profile that identifies the servers and routes of the Moonshot API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="moonshot",
    title="Moonshot API",
    role=ServiceRole.HOSTED,
    names=("moonshot-api", "kimi-api"),
    hosts=("api.moonshot.cn", "api.moonshot.ai"),
    source="platform.moonshot.ai, streaming output",
    dated="2026-11",
)
