"""Profile that identifies the servers and routes of MaxKB."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="maxkb",
    title="MaxKB",
    role=ServiceRole.APP,
    names=("maxkb",),
    images=("1panel/maxkb",),
    source="github.com/1Panel-dev/MaxKB, README",
    dated="2026-11",
)
