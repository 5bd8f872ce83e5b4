"""Profile that identifies the servers and routes of KoboldCpp."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="koboldcpp",
    title="KoboldCpp",
    role=ServiceRole.ENGINE,
    names=("koboldcpp",),
    images=("koboldai/koboldcpp",),
    source="github.com/LostRuins/koboldcpp, README",
    dated="2026-11",
)
