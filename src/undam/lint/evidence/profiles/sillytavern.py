"""Profile that identifies the servers and routes of SillyTavern."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="sillytavern",
    title="SillyTavern",
    role=ServiceRole.APP,
    names=("sillytavern",),
    images=("sillytavern/sillytavern",),
    source="docs.sillytavern.app, Docker",
    dated="2026-11",
)
