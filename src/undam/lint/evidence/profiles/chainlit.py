"""Profile that identifies the servers and routes of Chainlit."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="chainlit",
    title="Chainlit",
    role=ServiceRole.APP,
    names=("chainlit",),
    images=("chainlit",),
    source="docs.chainlit.io, deploy",
    dated="2026-11",
)
