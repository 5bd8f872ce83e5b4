"""Profile that identifies the servers and routes of Bifrost."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="bifrost",
    title="Bifrost",
    role=ServiceRole.GATEWAY,
    names=("bifrost",),
    images=("maximhq/bifrost",),
    source="github.com/maximhq/bifrost, README",
    dated="2026-11",
)
