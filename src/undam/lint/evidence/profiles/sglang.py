"""Profile that identifies the servers and routes of SGLang."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="sglang",
    title="SGLang",
    role=ServiceRole.ENGINE,
    names=("sglang",),
    images=("lmsysorg/sglang",),
    ports=(30000,),
    source="docs.sglang.ai, server arguments",
    dated="2026-11",
)
