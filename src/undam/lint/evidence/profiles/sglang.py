"""SGLang: how its servers and routes are recognised."""

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
