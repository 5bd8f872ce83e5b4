"""Profile that identifies the servers and routes of Mercure."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="mercure",
    title="Mercure",
    role=ServiceRole.HUB,
    names=("mercure",),
    images=("dunglas/mercure",),
    paths=(".well-known/mercure",),
    source="mercure.rocks/docs/hub; github.com/dunglas/mercure, Caddyfile",
    dated="2026-11",
)
