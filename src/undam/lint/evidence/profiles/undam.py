"""Profile that identifies the servers and routes of the undam gateway."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="undam",
    title="undam gateway",
    role=ServiceRole.GATEWAY,
    names=("undam", "undam-gateway"),
    source="docs/gateway.md",
    dated="2026-11",
)
