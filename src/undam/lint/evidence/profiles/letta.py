"""Profile that identifies the servers and routes of Letta."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="letta",
    title="Letta",
    role=ServiceRole.APP,
    names=("letta", "letta-server"),
    images=("letta/letta",),
    ports=(8283,),
    source="docs.letta.com, Docker; github.com/letta-ai/letta",
    dated="2026-11",
)
