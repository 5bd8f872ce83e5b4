"""Profile that identifies the servers and routes of LM Studio."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="lm-studio",
    title="LM Studio",
    role=ServiceRole.ENGINE,
    names=("lm-studio", "lmstudio"),
    ports=(1234,),
    source="lmstudio.ai/docs, local server",
    dated="2026-11",
)
