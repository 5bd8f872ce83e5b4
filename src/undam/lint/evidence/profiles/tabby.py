"""Profile that identifies the servers and routes of Tabby."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="tabby",
    title="Tabby",
    role=ServiceRole.APP,
    names=("tabbyml",),
    images=("tabbyml/tabby",),
    source="tabby.tabbyml.com, Docker",
    dated="2026-11",
)
